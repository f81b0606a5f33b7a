// grpc-go in the mesh without a proxy: `client TARGET` makes the calls that its standard input asks for, one JSON object a line, and
// answers each with a line; `server NAME ADDRESS` serves what support/grpc.ts serves. Both find the mesh by GRPC_XDS_BOOTSTRAP.
package main

import (
	"fmt"
	"log"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
)

// raw passes messages as they are: the service of the tests has bytes for messages.
type raw struct{}

func (raw) Marshal(message any) ([]byte, error) {
	return *message.(*[]byte), nil
}

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (raw) Name() string { return "raw" }

var _ encoding.Codec = raw{}

var (
	collectDesc = grpc.StreamDesc{StreamName: "Collect", ClientStreams: true}
	countDesc   = grpc.StreamDesc{StreamName: "Count", ServerStreams: true}
	chatDesc    = grpc.StreamDesc{StreamName: "Chat", ClientStreams: true, ServerStreams: true}
)

const service = "interop.Echo"

func method(name string) string {
	return fmt.Sprintf("/%s/%s", service, name)
}

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "client":
		runClient(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "server":
		runServer(os.Args[2], os.Args[3])
	default:
		log.Fatal("usage: client TARGET | server NAME ADDRESS")
	}
}
