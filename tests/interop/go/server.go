package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/xds"
)

// runServer serves until it is killed. It says `serving` once the mesh has told it how.
func runServer(name, address string) {
	creds, err := xdscreds.NewServerCredentials(xdscreds.ServerOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		log.Fatal(err)
	}
	told := xds.ServingModeCallback(func(_ net.Addr, change xds.ServingModeChangeArgs) {
		fmt.Println(change.Mode, change.Err)
	})
	server, err := xds.NewGRPCServer(grpc.Creds(creds), grpc.ForceServerCodec(raw{}), told)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			{StreamName: "Unary", Handler: each(name)},
			{StreamName: "Collect", ClientStreams: true, Handler: collect},
			{StreamName: "Count", ServerStreams: true, Handler: count(name)},
			{StreamName: "Chat", ClientStreams: true, ServerStreams: true, Handler: each(name)},
		},
	}, nil)
	log.Fatal(server.Serve(listener))
}

// greet says who answers, and by whose certificate it was called.
func greet(stream grpc.ServerStream, name string) {
	header := metadata.Pairs("x-server", name)
	if caller, ok := peer.FromContext(stream.Context()); ok {
		if info, ok := caller.AuthInfo.(credentials.TLSInfo); ok && info.SPIFFEID != nil {
			header.Append("x-peer", info.SPIFFEID.String())
		}
	}
	_ = stream.SetHeader(header)
}

func receiveAll(stream grpc.ServerStream, handle func([]byte) error) error {
	for {
		message := []byte{}
		if err := stream.RecvMsg(&message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := handle(message); err != nil {
			return err
		}
	}
}

func each(name string) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		greet(stream, name)
		return receiveAll(stream, func(message []byte) error { return stream.SendMsg(&message) })
	}
}

func collect(_ any, stream grpc.ServerStream) error {
	hash, messages := sha256.New(), 0
	err := receiveAll(stream, func(message []byte) error {
		hash.Write(message)
		messages++
		return nil
	})
	if err != nil {
		return err
	}
	answer := fmt.Appendf(nil, "%d %x", messages, hash.Sum(nil))
	return stream.SendMsg(&answer)
}

func count(name string) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		greet(stream, name)
		return receiveAll(stream, func(message []byte) error {
			to, err := strconv.Atoi(string(message))
			if err != nil {
				return err
			}
			for index := range to {
				answer := []byte(strconv.Itoa(index))
				if err := stream.SendMsg(&answer); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
