"""The same service as support/grpc.ts, by Python's grpcio. Prints its port."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

CODES = {code.value[0]: code for code in grpc.StatusCode}
LAST = ("x-last", "word")
cancelled = set()


def asked(context, name):
    return [value for key, value in context.invocation_metadata() if key == name]


def greet(context):
    answer = [("x-server", "python")]
    answer += [("x-answer", value) for value in asked(context, "x-ask")]
    answer += [("x-answer-bin", value) for value in asked(context, "x-ask-bin")]
    context.send_initial_metadata(answer)


def finish(context):
    """Fails the call when asked to."""
    for code in asked(context, "x-status"):
        context.set_trailing_metadata([LAST, ("grpc-status-details-bin", bytes([8, 5, 255, 0]))])
        context.abort(CODES[int(code)], "nicht da: 100 % Käse")
    context.set_trailing_metadata([LAST])


def wait(context):
    """Until the call is cancelled, when asked to."""
    for name in asked(context, "x-wait"):
        ended = threading.Event()
        if context.add_callback(ended.set):
            ended.wait()
        cancelled.add(name)


def unary(request, context):
    wait(context)
    if not asked(context, "x-status"):
        greet(context)
    finish(context)
    return request


def collect(requests, context):
    digest, count = hashlib.sha256(), 0
    for request in requests:
        digest.update(request)
        count += 1
    finish(context)
    return f"{count} {digest.hexdigest()}".encode()


def count(request, context):
    greet(context)
    # Before the first message: once the call is cancelled, grpcio does not come back here after it.
    for name in asked(context, "x-wait"):
        context.add_callback(lambda name=name: cancelled.add(name))
    yield b"0"
    wait(context)
    for index in range(1, int(request)):
        yield str(index).encode()
    finish(context)


def chat(requests, context):
    greet(context)
    for name in asked(context, "x-wait"):
        context.add_callback(lambda name=name: cancelled.add(name))
    yield from requests
    finish(context)


def was_cancelled(request, _context):
    return b"yes" if request.decode() in cancelled else b"no"


server = grpc.server(ThreadPoolExecutor(max_workers=16))
methods = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Cancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("interop.Echo", methods),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("port", port, flush=True)
server.wait_for_termination()
