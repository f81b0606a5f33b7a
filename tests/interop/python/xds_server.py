"""The service of ../support/grpc.ts in grpcio, without a proxy: the mesh tells it how to serve. It finds the mesh by GRPC_XDS_BOOTSTRAP.
xds_server.py NAME ADDRESS"""

import concurrent.futures
import hashlib
import sys

import grpc

NAME, ADDRESS = sys.argv[1:]


def greet(context):
    """Says who answers, and by whose certificate it was called."""
    names = [name.decode() for name in context.auth_context().get("peer_spiffe_id", [])]
    context.send_initial_metadata([("x-server", NAME), *(("x-peer", name) for name in names)])


def unary(request, context):
    greet(context)
    return request


def collect(requests, context):
    greet(context)
    digest, number = hashlib.sha256(), 0
    for request in requests:
        digest.update(request)
        number += 1
    return f"{number} {digest.hexdigest()}".encode()


def count(request, context):
    greet(context)
    for number in range(int(request)):
        yield str(number).encode()


def chat(requests, context):
    greet(context)
    yield from requests


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}

server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8), xds=True)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("interop.Echo", METHODS)])
server.add_secure_port(ADDRESS, grpc.xds_server_credentials(grpc.insecure_server_credentials()))
server.start()
server.wait_for_termination()
