"""One connection to a proxy: sends the bytes of a case and tells what came back."""

import dataclasses
import re
import socket
import time

# How long an open connection is watched after the last answer, and how long before a first one. What a proxy does is
# seen from outside, so there is no condition to wait for but the absence of more.
QUIET = 0.15
PATIENCE = 1.5
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


@dataclasses.dataclass
class Outcome:
    statuses: str
    closed: bool
    requests: list
    # The target's answer was the case's own.
    is_prepared: bool

    def passed(self):
        """How many answers are the target's, which says 200 if a case has no answer of its own."""
        return self.statuses.split(", ").count("200")

    def summary(self):
        return self.statuses + (", closes" if self.closed else "")


def run(case, port, target):
    target.prepare(case.answer, case.close)
    received, closed = converse(port, case.send)
    statuses = finals(received, case.send.startswith(b"HEAD "))
    return Outcome(", ".join(statuses) or "nothing", closed, list(target.requests), case.answer is not None)


def converse(port, send):
    received, deadline = b"", time.monotonic() + PATIENCE
    with socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            connection.sendall(send)
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                piece = connection.recv(65536)
                if not piece:
                    return received, True
                received += piece
                deadline = min(deadline + QUIET, time.monotonic() + QUIET)
        except TimeoutError:
            return received, False
        except ConnectionError:
            return received, True
    return received, False


def finals(received, is_head):
    """The statuses of the final responses; those of interim ones if there is no other."""
    final, interim = [], []
    while match := STATUS.match(received):
        status = match[1].decode()
        head, found, rest = received.partition(b"\r\n\r\n")
        if not found:
            break
        if status.startswith("1"):
            interim.append(status)
            received = rest
            continue
        final.append(status)
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        bodiless = is_head or status in ("204", "304")
        received = rest[0 if bodiless or not length else int(length[1]) :]
        if not length and re.search(rb"\r\ntransfer-encoding: *chunked", head, re.I):
            received = rest.partition(b"0\r\n\r\n")[2]
    return final or interim
