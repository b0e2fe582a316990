package main

import (
	"io"
	"net"
	"path"
	"strconv"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var cancelled int64

// serve answers what server.py answers, within TLS.
func serve(port, key, certificate string) {
	pair, err := credentials.NewServerTLSFromFile(certificate, key)
	must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	must(err)
	must(grpc.NewServer(grpc.Creds(pair), grpc.UnknownServiceHandler(answer)).Serve(listener))
}

// answer is every method: on the wire a single message is a stream of one.
func answer(_ interface{}, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	total := 0
	for {
		var request []byte
		if err := stream.RecvMsg(&request); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		total += len(request)
		if path.Base(method) == "Total" {
			continue
		}
		if err := answerOne(path.Base(method), request, stream); err != nil {
			return err
		}
	}
	if path.Base(method) == "Total" {
		return send(stream, strconv.Itoa(total))
	}
	return nil
}

func answerOne(method string, request []byte, stream grpc.ServerStream) error {
	switch method {
	case "Echo", "EchoAll":
		return stream.SendMsg(&request)
	case "CountTo":
		end, _ := strconv.Atoi(string(request))
		for number := 0; number < end; number++ {
			if err := send(stream, strconv.Itoa(number)); err != nil {
				return err
			}
		}
		return nil
	case "Fail":
		stream.SetTrailer(metadata.Pairs("reason", string(request), "octets-bin", everyOctet()))
		return status.Error(codes.FailedPrecondition, "not like this: 100 % ü")
	case "Wait":
		// Ends when the call is given up, and counts that.
		<-stream.Context().Done()
		atomic.AddInt64(&cancelled, 1)
		return status.FromContextError(stream.Context().Err()).Err()
	case "Cancelled":
		return send(stream, strconv.FormatInt(atomic.LoadInt64(&cancelled), 10))
	}
	return status.Error(codes.Unimplemented, method)
}

func send(stream grpc.ServerStream, text string) error {
	message := []byte(text)
	return stream.SendMsg(&message)
}

func everyOctet() string {
	all := make([]byte, 256)
	for octet := range all {
		all[octet] = byte(octet)
	}
	return string(all)
}
