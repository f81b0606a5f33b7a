"""Calls the service of support/grpc.ts in every way; says as JSON what came back. grpc_client.py TARGET"""

import hashlib
import json
import queue
import sys
import time

import grpc

TIMEOUT_SECONDS = 20
FIELDS = [("x-ask", "who"), ("x-ask-bin", bytes([0, 255, 10]))]
LARGE = bytes(range(256)) * 12_000

channel = grpc.insecure_channel(sys.argv[1])
unary = channel.unary_unary("/interop.Echo/Unary")
collect = channel.stream_unary("/interop.Echo/Collect")
count = channel.unary_stream("/interop.Echo/Count")
chat = channel.stream_stream("/interop.Echo/Chat")
was_cancelled = channel.unary_unary("/interop.Echo/Cancelled")


def shown(metadata, *names):
    values = {key: value.hex() if isinstance(value, bytes) else value for key, value in metadata}
    return {name: values.get(name) for name in names}


def until_cancelled(name):
    """Whether the server hears of it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        if was_cancelled(name.encode(), timeout=TIMEOUT_SECONDS) == b"yes":
            return True
        time.sleep(0.02)
    return False


def unary_call():
    response, call = unary.with_call(b"hello", metadata=FIELDS, timeout=TIMEOUT_SECONDS)
    return [response.decode(), shown(call.initial_metadata(), "x-answer", "x-answer-bin"), shown(call.trailing_metadata(), "x-last")]


def large():
    return unary(LARGE, timeout=TIMEOUT_SECONDS) == LARGE


def compressed():
    return unary(LARGE, timeout=TIMEOUT_SECONDS, compression=grpc.Compression.Gzip) == LARGE


def client_streaming():
    digest = hashlib.sha256(LARGE * 5).hexdigest()
    return collect(iter([LARGE] * 5), timeout=TIMEOUT_SECONDS).decode() == f"5 {digest}"


def server_streaming():
    call = count(b"1000", timeout=TIMEOUT_SECONDS)
    numbers = [int(message) for message in call]
    return [numbers == list(range(1000)), shown(call.trailing_metadata(), "x-last")]


def bidirectional():
    """Each message is sent only when the answer to the one before is there."""
    outgoing = queue.Queue()
    call = chat(iter(outgoing.get, None), timeout=TIMEOUT_SECONDS)
    answers = []
    for message in (b"one", b"two", b"three"):
        outgoing.put(message)
        answers.append(next(call).decode())
    outgoing.put(None)
    return answers + [message.decode() for message in call]


def status():
    try:
        unary(b"", metadata=[("x-status", "5")], timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return [error.code().name, error.details(), shown(error.trailing_metadata(), "x-last", "grpc-status-details-bin")]


def late_status():
    call = count(b"3", metadata=[("x-status", "8")], timeout=TIMEOUT_SECONDS)
    numbers = []
    try:
        for message in call:
            numbers.append(int(message))
    except grpc.RpcError as error:
        return [numbers, error.code().name]


def unknown_method():
    try:
        channel.unary_unary("/interop.Echo/Nothing")(b"", timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return error.code().name


def deadline():
    try:
        unary(b"", metadata=[("x-wait", "py-deadline")], timeout=0.3)
    except grpc.RpcError as error:
        return [error.code().name, until_cancelled("py-deadline")]


def cancellation():
    call = count(b"9", metadata=[("x-wait", "py-cancel")], timeout=TIMEOUT_SECONDS)
    first = next(call).decode()
    call.cancel()
    return [first, call.code().name, until_cancelled("py-cancel")]


CASES = (
    unary_call,
    large,
    compressed,
    client_streaming,
    server_streaming,
    bidirectional,
    status,
    late_status,
    unknown_method,
    deadline,
    cancellation,
)
said = {}
for case in CASES:
    try:
        said[case.__name__] = case()
    except Exception as error:
        said[case.__name__] = repr(error)
print(json.dumps(said))
