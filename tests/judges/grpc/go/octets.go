// Package main is gRPC by grpc-go, for the judge, as a server and as a client of it:
//
//	serve PORT KEY CERTIFICATE
//	check NAME ADDRESS AUTHORITY     by the proxy that HTTPS_PROXY names
//
// Messages are octets as they are, so that nothing has to be generated.
package main

import (
	"fmt"
	"log"
	"os"

	"google.golang.org/grpc/encoding"
)

type octets struct{}

func (octets) Marshal(message interface{}) ([]byte, error) {
	return *message.(*[]byte), nil
}

func (octets) Unmarshal(data []byte, message interface{}) error {
	// A copy: the library may use its buffer again.
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// Name is that of the codec which is used where nobody names one.
func (octets) Name() string { return "proto" }

func main() {
	log.SetFlags(0)
	encoding.RegisterCodec(octets{})
	if len(os.Args) != 5 {
		log.Fatal("usage: serve PORT KEY CERTIFICATE | check NAME ADDRESS AUTHORITY")
	}
	if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3], os.Args[4])
	} else {
		check(os.Args[2], os.Args[3], os.Args[4])
	}
}

// expect ends the program with the reason when the condition does not hold.
func expect(condition bool, why string, values ...interface{}) {
	if !condition {
		log.Fatal(fmt.Sprintf(why, values...))
	}
}

// must ends the program when something failed that has to work.
func must(err error) {
	expect(err == nil, "%v", err)
}
