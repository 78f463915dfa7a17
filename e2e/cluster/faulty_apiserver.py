#!/usr/bin/env python3
"""An API server with faults: hands on to the real one what it is asked, apart from what a fault is about.

  e2e/cluster/faulty_apiserver.py ADDRESS:PORT CONTROL-PORT REAL-ADDRESS:PORT PAIR AUTHORITY

PAIR is the path of its certificate and key without .crt and .key; AUTHORITY is who signed that of the real one. On the control
port of localhost, in clear text, `POST /FAULT` chooses one of those below, and `GET /` tells what came of it since then:

  none         nothing is wrong
  half-lists   every second list fails: one is answered with 500, the next is cut off in the middle
  no-routes    lists of Routes are empty, at the true resourceVersion

Each choice ends all watches, and each client has to list anew before it may watch again: as the real one does where it has
forgotten what there was, the answer is an event with the code 410.
"""

import http.client
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from faults import Faults

# Of one connection, so they aren't handed on; what is compressed couldn't be emptied.
OWN_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding"}


def is_collection(path):
    """Whether it is all objects of a kind, in a namespace or in all: /api/V/…, /apis/GROUP/V/…"""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else []
    return len(parts) == 1 or (len(parts) == 3 and parts[0] == "namespaces")


def failure(code, reason):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": "a fault, as it was asked for"}


def pieces(answer):
    """As soon as there is something, and no more than there is, until the end, which may be that of the connection."""
    try:
        while data := answer.read1(1 << 16):
            yield data
    except (OSError, ValueError, http.client.HTTPException):
        return


class Server(ThreadingHTTPServer):
    """Of what fails on one connection, most often because a client went away, a line is enough."""

    def __init__(self, address, handler, context=None):
        self.context = context
        super().__init__(address, handler)

    def get_request(self):
        connection, peer = super().get_request()
        if self.context:
            # The handshake waits for the first read, which is in the connection's own thread.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, peer

    def handle_error(self, _, peer):
        print(f"{peer[0]}: {sys.exc_info()[1]!r}", flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        self.send_response_only(status)
        for name, value in headers or [("Content-Type", "application/json")]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Proxy(Handler):
    def handle_request(self):
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        # What a client lists and watches: the two requests differ in everything else.
        subject = (self.client_address[0], url.path, query.get("fieldSelector"), query.get("labelSelector"))
        if self.command != "GET" or not is_collection(url.path):
            self.relay()
        elif query.get("watch") in ("1", "true"):
            self.watch(subject)
        else:
            self.list(subject, url.path)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def ask(self):
        """Asks the real one the same, and gives the connection and what was answered."""
        connection = http.client.HTTPSConnection(*real, context=to_real)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for name, value in self.headers.items():
            if name.lower() not in OWN_HEADERS:
                connection.putheader(name, value)
        if body or self.command != "GET":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        # The answer may take the connection's socket away.
        socket = connection.sock
        return socket, connection.getresponse()

    def relay(self, answer=None):
        answer = answer or self.ask()[1]
        self.answer(answer.status, answer.read(), self.of(answer))

    def of(self, answer):
        return [header for header in answer.getheaders() if header[0].lower() not in OWN_HEADERS]

    def list(self, subject, path):
        fault, choice = faults.list(path)
        if fault:
            print(f"{subject[0]}: {path}: {fault}", flush=True)
        if fault == "refused":
            return self.answer(500, json.dumps(failure(500, "InternalError")).encode())
        answer = self.ask()[1]
        body = answer.read()
        if fault == "cut":
            self.close_connection = True
            self.send_response_only(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            return None
        if fault == "emptied" and answer.status == 200:
            of = json.loads(body)
            of["items"] = []
            of["metadata"] = {"resourceVersion": of["metadata"]["resourceVersion"]}
            body = json.dumps(of).encode()
        # Who asks for metadata only wants the resourceVersion, and doesn't go on from this list.
        if answer.status == 200 and "PartialObjectMetadata" not in self.headers.get("Accept", ""):
            faults.listed(subject, choice)
        return self.answer(answer.status, body, self.of(answer))

    def watch(self, subject):
        choice = faults.may_watch(subject)
        if choice is None:
            self.stream([("Content-Type", "application/json")])
            self.chunk(json.dumps({"type": "ERROR", "object": failure(410, "Expired")}).encode() + b"\n")
            return self.chunk(b"")
        socket, answer = self.ask()
        if answer.status != 200:
            return self.relay(answer)
        self.stream(self.of(answer))
        if faults.watching(socket, choice):
            try:
                for data in pieces(answer):
                    self.chunk(data)
            finally:
                faults.watched(socket)
        answer.close()
        socket.close()
        return self.chunk(b"")

    def stream(self, headers):
        self.send_response_only(200)
        for name, value in [*headers, ("Transfer-Encoding", "chunked")]:
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


class Control(Handler):
    def do_GET(self):
        self.answer(200, json.dumps(faults.told()).encode())

    def do_POST(self):
        if faults.choose(self.path.strip("/")):
            self.do_GET()
        else:
            self.answer(404, b"{}")


def place(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


if __name__ == "__main__":
    address, control, real, pair, authority = sys.argv[1:]
    real = place(real)
    faults = Faults()
    to_real = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    to_real.load_verify_locations(authority)
    to_clients = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    to_clients.load_cert_chain(pair + ".crt", pair + ".key")
    threading.Thread(target=Server(("127.0.0.1", int(control)), Control).serve_forever, daemon=True).start()
    Server(place(address), Proxy, to_clients).serve_forever()
