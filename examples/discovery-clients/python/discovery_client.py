"""Finds services in a mesh and registers an instance, in Python, with what protoc makes of the .proto files and nothing of Heddle's.

    python3 discovery_client.py list
    python3 discovery_client.py watch
    python3 discovery_client.py register --service orders --id orders-py --inbound 127.0.0.1:15106 --application 127.0.0.1:8081
"""

import argparse
import json
import os
import random
import signal
import sys
import threading
import time

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "generated"))
try:
    from example import discovery_pb2 as small, discovery_pb2_grpc as small_grpc
    from heddle.discovery.v1 import discovery_pb2 as pb, discovery_pb2_grpc as pb_grpc
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}; run ./generate.sh first, and see README.md for the packages it needs")


def connect(options):
    """A channel that trusts the root of the mesh only, and what says who calls: a workload's certificate, or the operator's token."""

    def read(*path):
        with open(os.path.join(*path), "rb") as file:
            return file.read()

    if options.identity:
        credentials = grpc.ssl_channel_credentials(
            read(options.identity, "ca.pem"), read(options.identity, "key.pem"), read(options.identity, "cert.pem")
        )
        metadata = ()
    else:
        credentials = grpc.ssl_channel_credentials(read(options.state_dir, "ca", "root.pem"))
        token = read(options.state_dir, "operator.token").decode().strip()
        metadata = (("authorization", f"Bearer {token}"),)
    # The certificate of every control plane is also for this name, wherever it runs.
    channel = grpc.secure_channel(
        options.control,
        credentials,
        options=[
            ("grpc.ssl_target_name_override", "control.mesh.internal"),
            # A connection that died without a word is noticed.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # Left to itself, gRPC waits up to two minutes between two tries to connect.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ],
    )
    return channel, metadata


class Backoff:
    """Pauses that grow, with a random part, so that clients do not come back all at the same moment."""

    def __init__(self):
        self.seconds = 0.1

    def wait(self):
        time.sleep(self.seconds * random.uniform(0.5, 1.0))
        self.seconds = min(4.0, self.seconds * 2)


def reason_of(error):
    """The one word by which programs tell apart why a call failed; empty when there is none."""
    return dict(error.trailing_metadata() or ()).get("heddle-reason", "")


def describe(service):
    healthy = [one for one in service.instances if one.health == pb.HEALTH_HEALTHY]
    addresses = ", ".join(f"{one.id} {one.inbound.address}:{one.inbound.port}{place(one)}" for one in healthy)
    return f"{service.namespace}/{service.name} {service.protocol} :{service.port} {len(healthy)}/{len(service.instances)} healthy [{addresses}]"


def place(instance):
    return f" in {instance.locality.region}/{instance.locality.zone}" if instance.HasField("locality") else ""


def say(text):
    print(text, flush=True)


def list_services(options):
    channel, metadata = connect(options)
    with channel:
        if options.small:
            for service in small_grpc.DiscoveryStub(channel).ListServices(small.Empty(), metadata=metadata, timeout=5).services:
                say(f"{service.name} {service.ip}")
            return
        for service in pb_grpc.DiscoveryStub(channel).ListServices(pb.ListServicesRequest(), metadata=metadata, timeout=5).services:
            say(describe(service))


def watch_services(options):
    """Keeps a copy of the registry. A watch that breaks goes on where it was; one that cannot begins anew.

    With --state the next start is told only what changed: a program that needs all services keeps these, too.
    """
    channel, metadata = connect(options)
    services = {}
    revision, history = load(options.state)
    backoff = Backoff()
    with channel:
        stub = pb_grpc.DiscoveryStub(channel)
        while True:
            request = pb.WatchRequest(namespace=options.namespace, from_revision=revision, history=history)
            try:
                # Without wait_for_ready a call fails at once while there is no connection, and nothing drives the next try to connect.
                for update in stub.Watch(request, metadata=metadata, wait_for_ready=True):
                    backoff = Backoff()
                    if update.complete:
                        services.clear()
                    for name in update.removed:
                        services.pop(name, None)
                        say(f"- {name}")
                    for service in update.changed:
                        services[f"{service.namespace}/{service.name}"] = service
                        say(f"+ {describe(service)}")
                    revision, history = update.revision, update.history
                    save(options.state, revision, history)
                    say(f"= revision {revision} {'complete' if update.complete else 'changes'}")
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.OUT_OF_RANGE:
                    say(f"! {reason_of(error)}: beginning anew")
                    revision, history = 0, ""
                elif error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    say(f"! {error.code().name}: going on after revision {revision}")
                    backoff.wait()
                else:
                    raise


def load(path):
    if not path or not os.path.exists(path):
        return 0, ""
    with open(path, encoding="utf-8") as file:
        kept = json.load(file)
    return kept["revision"], kept["history"]


def save(path, revision, history):
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"revision": revision, "history": history}, file)


def address(text):
    host, _, port = text.rpartition(":")
    return pb.SocketAddress(address=host.strip("[]"), port=int(port))


def register(options):
    """Holds a registration: heartbeats on one stream, a new stream when that breaks, and a goodbye at the end."""
    channel, metadata = connect(options)
    instance = pb.Instance(
        id=options.id,
        namespace=options.namespace or "default",
        service=options.service,
        node=options.node or options.id,
        inbound=address(options.inbound),
        application=address(options.application),
        version=options.version,
        metadata={"language": "python"},
    )
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    backoff = Backoff()
    with channel:
        stub = pb_grpc.DiscoveryStub(channel)
        while not stopping.is_set():
            try:
                hold(stub, metadata, instance, options, stopping)
                backoff = Backoff()
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.ABORTED:
                    sys.exit(f"another process has registered {options.id}: {error.details()}")
                if error.code() != grpc.StatusCode.UNAVAILABLE and reason_of(error) != "lease-ended":
                    sys.exit(f"{error.code().name}: {error.details()}")
                say(f"! {error.code().name}: registering again")
                backoff.wait()
        stub.Deregister(
            pb.DeregisterRequest(namespace=instance.namespace, service=instance.service, instance=instance.id), metadata=metadata, timeout=2
        )
        say("deregistered")


def hold(stub, metadata, instance, options, stopping):
    """One stream. The first message registers; then a heartbeat within each third of the lease's time."""
    ttl = [options.lease or 10.0]
    answered = threading.Event()
    over = threading.Event()

    def messages():
        lease_ttl_ms = int((options.lease or 0) * 1000)
        yield pb.RegisterRequest(instance=instance, health=pb.HEALTH_HEALTHY, health_reason="it says so itself", lease_ttl_ms=lease_ttl_ms)
        answered.wait()
        while not over.is_set() and not stopping.wait(ttl[0] / 3):
            yield pb.RegisterRequest(health=pb.HEALTH_HEALTHY, health_reason="it says so itself")

    try:
        for answer in stub.Register(messages(), metadata=metadata, wait_for_ready=True):
            if not answered.is_set():
                say(f"registered {instance.id}, lease {answer.lease_ttl_ms} ms, revision {answer.instance_revision}")
            ttl[0] = answer.lease_ttl_ms / 1000
            answered.set()
    finally:
        over.set()
        answered.set()


def main():
    parser = argparse.ArgumentParser(description="Discovery and registration in a mesh, from Python.")
    parser.add_argument("--control", default="127.0.0.1:15010", help="address of the control plane")
    parser.add_argument("--state-dir", default=".heddle", help="its state directory, for the root certificate and the operator token")
    parser.add_argument("--identity", help="directory of `heddle identity watch`: calls as that service instead of as the operator")
    parser.add_argument("--namespace", default="", help="default: all, or `default` for a registration")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list")
    listing.add_argument("--small", action="store_true", help="by example.Discovery: names and addresses only")
    watching = commands.add_parser("watch")
    watching.add_argument("--state", help="file that keeps how far this has come, so that the next start goes on from there")
    registering = commands.add_parser("register")
    registering.add_argument("--service", required=True)
    registering.add_argument("--id", required=True)
    registering.add_argument("--inbound", required=True, help="where others reach it, IP:PORT")
    registering.add_argument("--application", required=True, help="where the program listens, IP:PORT")
    registering.add_argument("--node", help="name of the data plane that hosts it; default: the id")
    registering.add_argument("--version", default="")
    registering.add_argument("--lease", type=float, help="seconds after which it is gone when nothing is heard of it; default: 10")
    options = parser.parse_args()
    {"list": list_services, "watch": watch_services, "register": register}[options.command](options)


if __name__ == "__main__":
    main()
