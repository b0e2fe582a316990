package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const callMax = 120 * time.Second

var channel *grpc.ClientConn

// The checks of `run`, under its names.
var checks = map[string]func(){
	"unary_calls":        unaryCalls,
	"messages_both_ways": messagesBothWays,
	"messages_in_turn":   messagesInTurn,
	"server_streaming":   serverStreaming,
	"client_streaming":   clientStreaming,
	"status_in_trailers": statusInTrailers,
	"deadlines":          deadlines,
	"cancellation":       cancellation,
	"large_messages":     largeMessages,
	"many_streams":       manyStreams,
}

func check(name, address, authority string) {
	roots, err := credentials.NewClientTLSFromFile(authority, "")
	must(err)
	channel, err = grpc.Dial(address, grpc.WithTransportCredentials(roots))
	must(err)
	run := checks[name]
	expect(run != nil, "there is no check %s", name)
	run()
	must(channel.Close())
}

func unaryCalls() {
	for number := 0; number < 3000; number++ {
		echo(numbered(number))
	}
}

func messagesBothWays() {
	both, end := stream("EchoAll")
	defer end()
	go func() {
		for number := 0; number < 6000; number++ {
			sendTo(both, numbered(number))
		}
		must(both.CloseSend())
	}()
	for number := 0; number < 6000; number++ {
		expectNext(both, numbered(number))
	}
	expectEnd(both)
}

// messagesInTurn has each message wait for the answer to the one before.
func messagesInTurn() {
	both, end := stream("EchoAll")
	defer end()
	for number := 0; number < 2000; number++ {
		sendTo(both, numbered(number))
		expectNext(both, numbered(number))
	}
	must(both.CloseSend())
	expectEnd(both)
}

func serverStreaming() {
	counted, end := stream("CountTo")
	defer end()
	sendTo(counted, []byte("5000"))
	must(counted.CloseSend())
	for number := 0; number < 5000; number++ {
		expectNext(counted, numbered(number))
	}
	expectEnd(counted)
}

func clientStreaming() {
	total, end := stream("Total")
	defer end()
	for number := 0; number < 20000; number++ {
		sendTo(total, []byte("seven!!"))
	}
	must(total.CloseSend())
	expectNext(total, []byte("140000"))
	expectEnd(total)
}

func statusInTrailers() {
	var trailer metadata.MD
	_, err := call("Fail", []byte("because"), callMax, grpc.Trailer(&trailer))
	failure := status.Convert(err)
	expect(failure.Code() == codes.FailedPrecondition, "%v", err)
	expect(failure.Message() == "not like this: 100 % ü", "%v", err)
	expect(fmt.Sprint(trailer["reason"]) == "[because]", "%v", trailer)
	expect(len(trailer["octets-bin"]) == 1 && trailer["octets-bin"][0] == everyOctet(), "%v", trailer)
}

func deadlines() {
	before := cancelledCalls()
	for number := 0; number < 10; number++ {
		_, err := call("Wait", nil, 300*time.Millisecond)
		expect(status.Code(err) == codes.DeadlineExceeded, "%v", err)
	}
	waitUntil("ten calls that are given up at the origin", func() bool { return cancelledCalls() == before+10 })
}

func cancellation() {
	before := cancelledCalls()
	var giveUp []func()
	for number := 0; number < 50; number++ {
		waiting, end := stream("Wait")
		sendTo(waiting, nil)
		must(waiting.CloseSend())
		giveUp = append(giveUp, end)
	}
	// They have arrived when one that came later was answered, nearly: what has not left is given up as well.
	echo(nil)
	for _, end := range giveUp {
		end()
	}
	waitUntil("calls that are given up at the origin", func() bool { return cancelledCalls() > before })
	echo([]byte("after"))
}

func largeMessages() {
	large := make([]byte, 3<<20)
	_, err := rand.Read(large)
	must(err)
	echo(large)
	both, end := stream("EchoAll")
	defer end()
	go func() {
		for number := 0; number < 5; number++ {
			sendTo(both, large)
		}
		must(both.CloseSend())
	}()
	for number := 0; number < 5; number++ {
		expectNext(both, large)
	}
	expectEnd(both)
}

// manyStreams opens 150 streams of which never more than 100 are open: none of them is refused.
func manyStreams() {
	var all sync.WaitGroup
	places := make(chan bool, 100)
	for number := 0; number < 150; number++ {
		all.Add(1)
		go func(number int) {
			defer all.Done()
			places <- true
			defer func() { <-places }()
			both, end := stream("EchoAll")
			defer end()
			for message := 0; message < 20; message++ {
				sent := []byte(fmt.Sprintf("%d/%d", number, message))
				sendTo(both, sent)
				expectNext(both, sent)
			}
			must(both.CloseSend())
			expectEnd(both)
		}(number)
	}
	all.Wait()
}

func numbered(number int) []byte { return []byte(strconv.Itoa(number)) }

func call(method string, request []byte, longest time.Duration, options ...grpc.CallOption) (answer []byte, err error) {
	within, end := context.WithTimeout(context.Background(), longest)
	defer end()
	err = channel.Invoke(within, "/larder.Judge/"+method, &request, &answer, options...)
	return answer, err
}

func echo(message []byte) {
	answer, err := call("Echo", message, callMax)
	must(err)
	expect(bytes.Equal(answer, message), "another message of %d octets came back", len(answer))
}

func cancelledCalls() int {
	answer, err := call("Cancelled", nil, callMax)
	must(err)
	number, err := strconv.Atoi(string(answer))
	must(err)
	return number
}

// stream opens a call in which both ends may send many messages; `end` gives it up.
func stream(method string) (opened grpc.ClientStream, end context.CancelFunc) {
	within, end := context.WithTimeout(context.Background(), callMax)
	opened, err := channel.NewStream(within, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/larder.Judge/"+method)
	must(err)
	return opened, end
}

func sendTo(stream grpc.ClientStream, message []byte) {
	must(stream.SendMsg(&message))
}

func expectNext(stream grpc.ClientStream, wanted []byte) {
	var message []byte
	must(stream.RecvMsg(&message))
	expect(bytes.Equal(message, wanted), "another message of %d octets came", len(message))
}

func expectEnd(stream grpc.ClientStream) {
	var message []byte
	err := stream.RecvMsg(&message)
	expect(err == io.EOF, "after the last message: %v", err)
}

func waitUntil(what string, happened func() bool) {
	for end := time.Now().Add(30 * time.Second); !happened(); time.Sleep(20 * time.Millisecond) {
		expect(time.Now().Before(end), "%s did not happen within 30 s", what)
	}
}
