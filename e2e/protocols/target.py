"""A target that answers everything it can find an end of, and remembers what it saw."""

import dataclasses
import socket
import threading

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@dataclasses.dataclass
class Request:
    line: str
    # "name: value", names in lower case.
    fields: list
    body: bytes


class Target:
    """Listens on a free port of loopback."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.requests, self.answer, self.close = [], None, False
        threading.Thread(target=self.accept, daemon=True).start()

    def prepare(self, answer, close):
        self.requests, self.answer, self.close = [], answer, close

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        received = b""
        try:
            while True:
                request, received = take(received)
                if request is None:
                    more = connection.recv(65536)
                    if not more:
                        return
                    received += more
                    continue
                self.requests.append(request)
                connection.sendall(self.reply(request))
                if self.answer is not None and self.close:
                    return
        except (ConnectionError, ValueError):
            return
        finally:
            connection.close()

    def reply(self, request):
        if self.answer is not None:
            return self.answer
        return OK if request.line.startswith("HEAD ") else OK + b"ok"


def take(received):
    """The first whole request and what follows it; None if it isn't whole."""
    head, found, rest = received.partition(b"\r\n\r\n")
    if not found:
        return None, received
    line, *fields = head.decode("latin-1").split("\r\n")
    fields = [f"{name.lower()}:{value}" for name, _, value in (field.partition(":") for field in fields)]
    values = dict(field.split(": ", 1) for field in fields if ": " in field)
    if "chunked" in values.get("transfer-encoding", "").lower():
        body, rest = take_chunks(rest)
        if body is None:
            return None, received
    else:
        length = int(values.get("content-length", 0))
        if len(rest) < length:
            return None, received
        body, rest = rest[:length], rest[length:]
    return Request(line, fields, body), rest


def take_chunks(rest):
    body = b""
    while True:
        line, found, after = rest.partition(b"\r\n")
        if not found:
            return None, rest
        size = int(line.split(b";")[0], 16)
        if size == 0:
            trailers, found, rest = (b"\r\n" + after).partition(b"\r\n\r\n")
            return (body, rest) if found else (None, rest)
        if len(after) < size + 2:
            return None, rest
        body, rest = body + after[:size], after[size + 2 :]
