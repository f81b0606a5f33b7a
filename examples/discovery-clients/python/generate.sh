#!/bin/sh
# Makes the Python code of the contracts. PROTO: folder of the .proto files; in a project that has @heddle/api from npm it is
# node_modules/@heddle/api/proto.
set -eu
cd "$(dirname "$0")"
proto=${PROTO:-../../../packages/api/proto}
out=${1:-generated}
mkdir -p "$out"
"${PYTHON:-python3}" -m grpc_tools.protoc -I "$proto" --python_out="$out" --grpc_python_out="$out" \
  example/discovery.proto heddle/discovery/v1/discovery.proto
