"""grpcio in the mesh without a proxy: makes the calls that standard input asks for, one JSON object a line, and answers each with a line.
It finds the mesh by GRPC_XDS_BOOTSTRAP. The twin in Go is ../go/client.go. xds_client.py TARGET"""

import collections
import json
import sys
import threading

import grpc
import grpc.experimental

CALLERS = 4
PAUSE_SECONDS = 0.002
TIMEOUT_SECONDS = 10

channels = {}


def channel(asked):
    target = asked.get("target", sys.argv[1])
    if target not in channels:
        credentials = grpc.xds_channel_credentials(grpc.experimental.insecure_channel_credentials())
        channels[target] = grpc.secure_channel(target, credentials)
    return channels[target]


def method(kind, name):
    return kind(f"/interop.Echo/{name}")


def call(asked):
    """What became of one call: its status, who answered, and whom that one was called by."""
    timeout = asked.get("timeoutMs", TIMEOUT_SECONDS * 1000) / 1000
    metadata = list(asked.get("metadata", {}).items())
    try:
        unary = method(channel(asked).unary_unary, "Unary")
        _, ended = unary.with_call(b"hello", timeout=timeout, metadata=metadata)
    except grpc.RpcError as failed:
        return {"code": failed.code().name, "details": failed.details(), "server": "", "peer": ""}
    fields = dict(ended.initial_metadata())
    return {"code": "OK", "details": "", "server": fields.get("x-server", ""), "peer": fields.get("x-peer", "")}


class Tally:
    """How many calls each server answered, and what became of the others."""

    def __init__(self):
        self.lock = threading.Lock()
        self.servers = collections.Counter()
        self.failures = []

    def add(self, reply):
        with self.lock:
            if reply["code"] == "OK":
                self.servers[reply["server"]] += 1
            else:
                self.failures.append(f"{reply['code']}: {reply['details']}")

    def seen(self):
        with self.lock:
            servers, self.servers = self.servers, collections.Counter()
        return servers

    def told(self):
        return {"servers": self.servers, "failures": self.failures}


class Steady:
    """Calls without end, by several threads."""

    def __init__(self, asked):
        self.tally = Tally()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(asked,), daemon=True) for _ in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def run(self, asked):
        while not self.over.wait(PAUSE_SECONDS):
            self.tally.add(call(asked))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.tally.told()


def calls(asked):
    tally = Tally()
    for _ in range(asked["count"]):
        tally.add(call(asked))
    return tally.told()


def conversation(chat, *messages):
    """Each message is sent when the answer to the one before is there."""
    answered = threading.Semaphore(1)

    def requests():
        for message in messages:
            answered.acquire()
            yield message

    for answer in chat(requests(), timeout=TIMEOUT_SECONDS):
        answered.release()
        yield answer.decode()


def kinds(asked):
    unary = method(channel(asked).unary_unary, "Unary")
    collect = method(channel(asked).stream_unary, "Collect")
    count = method(channel(asked).unary_stream, "Count")
    chat = method(channel(asked).stream_stream, "Chat")
    try:
        return {
            "unary": unary(b"hello", timeout=TIMEOUT_SECONDS).decode(),
            "collect": [collect(iter([b"a", b"b", b"c"]), timeout=TIMEOUT_SECONDS).decode()],
            "count": [answer.decode() for answer in count(b"5", timeout=TIMEOUT_SECONDS)],
            "chat": list(conversation(chat, b"one", b"two", b"three")),
        }
    except grpc.RpcError as failed:
        return {"error": f"{failed.code().name}: {failed.details()}"}


def main():
    steady = None
    for line in sys.stdin:
        asked = json.loads(line)
        do = asked["do"]
        if do == "start":
            steady = Steady(asked)
            answer = {}
        elif do == "seen":
            answer = steady.tally.seen()
        elif do == "stop":
            answer = steady.stop()
        elif do == "call":
            answer = call(asked)
        elif do == "calls":
            answer = calls(asked)
        elif do == "kinds":
            answer = kinds(asked)
        else:
            raise SystemExit(f"no command {do!r}")
        print(json.dumps(answer), flush=True)


main()
