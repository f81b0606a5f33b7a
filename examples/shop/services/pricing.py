"""pricing: what each item costs, in Python's standard library: a mesh does not care about the language.

Items that sell well get a little dearer. How many orders there were is asked of `orders` by name, through the HTTP
proxy that HTTP_PROXY names; urllib reads that variable by itself.
"""

import json
import os
import signal
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INSTANCE = os.environ.get("HEDDLE_INSTANCE", f"local-{os.getpid()}")
BASE = {"loom": 249.0, "shuttle": 18.5, "heddles": 12.0, "wool": 23.9}
DEMAND_URL = "http://orders.mesh.internal/"
DEMAND_SECONDS = 2.0

demand = 0


def watch_demand(stop: threading.Event) -> None:
    """Asks again and again in the background, so that nobody waits for it."""
    global demand
    while not stop.wait(DEMAND_SECONDS):
        try:
            with urllib.request.urlopen(DEMAND_URL, timeout=2) as answer:
                demand = int(json.load(answer)["taken"])
        except (OSError, ValueError, KeyError) as error:
            print(f"orders does not answer: {error}", flush=True)


class Prices(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave as separate writes; without this the second waits for the first one's acknowledgement.
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        count(+1)
        try:
            self.route()
        finally:
            count(-1)

    def route(self) -> None:
        if self.path == "/healthz":
            return self.answer(200, {"status": "ok"})
        if self.path not in ("/", "/prices"):
            return self.answer(404, {"error": "try /prices"})
        factor = 1 + min(demand, 1000) / 10_000
        prices = {item: round(price * factor, 2) for item, price in BASE.items()}
        self.answer(200, {"service": "pricing", "instance": INSTANCE, "prices": prices})

    def answer(self, status: int, body: object) -> None:
        payload = (json.dumps(body) + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.send_header("x-instance", INSTANCE)
        if stopping.is_set():
            self.send_header("connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:
        """One line per request would drown everything else."""


class Server(ThreadingHTTPServer):
    # Threads of connections that only wait must not keep the process alive; running requests are waited for below.
    daemon_threads = True


FINISH_SECONDS = 3.0

stopping = threading.Event()
running = 0
changed = threading.Condition()


def count(change: int) -> None:
    global running
    with changed:
        running += change
        changed.notify_all()


def main() -> int:
    server = Server((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "0"))), Prices)
    print(f"pricing listens on {server.server_address[0]}:{server.server_address[1]}", flush=True)
    threading.Thread(target=watch_demand, args=(stopping,), daemon=True).start()

    def stop(_signal: int, _frame: object) -> None:
        stopping.set()
        # shutdown() waits for the serving loop, which is this very thread: so it is called from another one.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever(poll_interval=0.1)
    print("pricing stops", flush=True)
    server.server_close()
    with changed:
        changed.wait_for(lambda: running == 0, FINISH_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
