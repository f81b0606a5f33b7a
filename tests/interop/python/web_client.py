"""Calls a web server with Python's own clients; says what came back as JSON.

web_client.py client HOST PORT FILE [PROXY]    http.client over one connection, through a tunnel when a proxy is named
web_client.py urllib BASE FILE PROXY           urllib.request, the proxy in the environment
"""

import base64
import hashlib
import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_SECONDS = 20


def digest(body):
    return hashlib.sha256(body).hexdigest()


def pieces(body, size=70_000):
    for at in range(0, len(body), size):
        yield body[at : at + size]


class Counting(http.client.HTTPConnection):
    connections = 0

    def connect(self):
        Counting.connections += 1
        super().connect()


def with_client(host, port, file, proxy=None):
    if proxy is None:
        connection = Counting(host, int(port), timeout=TIMEOUT_SECONDS)
    else:
        url = urllib.parse.urlsplit(proxy)
        credential = base64.b64encode(f"{url.username}:".encode()).decode()
        connection = Counting(url.hostname, url.port, timeout=TIMEOUT_SECONDS)
        connection.set_tunnel(host, int(port), {"Proxy-Authorization": f"Basic {credential}"})
    body = open(file, "rb").read()
    said = {}

    connection.request("GET", "/big")
    response = connection.getresponse()
    said["get"] = [response.status, digest(response.read())]

    connection.request("HEAD", "/big")
    response = connection.getresponse()
    said["head"] = [response.status, response.getheader("content-length"), len(response.read())]

    connection.request("POST", "/echo", body=body)
    response = connection.getresponse()
    said["post"] = [response.status, digest(response.read())]

    connection.request("POST", "/echo", body=pieces(body), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    response = connection.getresponse()
    said["chunked post"] = [response.status, digest(response.read())]

    said["connections"] = Counting.connections
    return said


def with_urllib(base, file, proxy):
    os.environ["http_proxy"] = proxy
    body = open(file, "rb").read()
    said = {}
    with urllib.request.urlopen(base + "/big", timeout=TIMEOUT_SECONDS) as response:
        said["get"] = [response.status, digest(response.read())]
    with urllib.request.urlopen(base + "/echo", data=body, timeout=TIMEOUT_SECONDS) as response:
        said["post"] = [response.status, digest(response.read())]
    try:
        urllib.request.urlopen(base + "/nothing", timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        said["missing"] = error.code
    return said


print(json.dumps({"client": with_client, "urllib": with_urllib}[sys.argv[1]](*sys.argv[2:])))
