#!/bin/sh
# Makes the Go code of the contract. PROTO: folder of the .proto files; in a project that has @heddle/api from npm it is
# node_modules/@heddle/api/proto. PROTOC: default `protoc`, Debian's protobuf-compiler; `python3 -m grpc_tools.protoc` will do, too.
set -eu
cd "$(dirname "$0")"
proto=${PROTO:-../../../packages/api/proto}
file=heddle/discovery/v1/discovery.proto
package="M$file=example.com/discovery/generated/discovery"
mkdir -p generated/discovery
${PROTOC:-protoc} -I "$proto" \
  --plugin=protoc-gen-go="$(go tool -n protoc-gen-go)" --plugin=protoc-gen-go-grpc="$(go tool -n protoc-gen-go-grpc)" \
  --go_out=. --go_opt=module=example.com/discovery,"$package" \
  --go-grpc_out=. --go-grpc_opt=module=example.com/discovery,"$package" \
  "$file"
