"""The two ends of a WebSocket: a client of Komainu, and the target behind it. Both see bytes, not messages."""

import base64
import hashlib
import os
import socket
import struct

PATIENCE = 10


class End:
    """One end of a tunnel."""

    def __init__(self, connection, received=b""):
        self.connection, self.received = connection, received
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.connection.sendall(data)

    def take(self, count):
        """The next bytes, as many as that."""
        pieces, have = [self.received], len(self.received)
        while have < count:
            piece = self.connection.recv(1 << 18)
            if not piece:
                raise EOFError(f"the end after {have} of {count} bytes")
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self.received = data[count:]
        return data[:count]

    def head(self):
        while b"\r\n\r\n" not in self.received:
            piece = self.connection.recv(65536)
            if not piece:
                raise EOFError("the end before a head")
            self.received += piece
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def has_ended(self):
        """Waits for the end of what the other side sends: its end, or a reset."""
        try:
            return not self.received and not self.connection.recv(1)
        except ConnectionError:
            return True

    def is_silent(self):
        """Whether nothing comes. There is nothing to wait for but the absence of it."""
        self.connection.settimeout(0.2)
        try:
            return not self.received and self.connection.recv(1) is None
        except TimeoutError:
            return True
        finally:
            self.connection.settimeout(PATIENCE)

    def finish(self):
        """Sends nothing more."""
        self.connection.shutdown(socket.SHUT_WR)

    def close(self):
        self.connection.close()

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Target:
    """Listens on a free port of loopback; a case takes the connection that its client made Komainu open."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]

    def accept(self):
        """The target's end, and the head of the request."""
        end = End(self.listener.accept()[0])
        return end, end.head()


class Http1:
    """Opens WebSockets by an upgrade (RFC 6455 section 4)."""

    name = "HTTP/1.1"

    def __init__(self, port):
        self.port = port

    def ask(self, *fields, after=b""):
        """A client that has sent its request, and `after` right behind it."""
        self.key = base64.b64encode(os.urandom(16)).decode()
        end = End(socket.create_connection(("127.0.0.1", self.port)))
        lines = ["GET /chat?room=1 HTTP/1.1", "Host: example.org", "Connection: Upgrade", "Upgrade: websocket",
                 f"Sec-WebSocket-Key: {self.key}", "Sec-WebSocket-Version: 13", *fields]
        end.send("\r\n".join(lines).encode() + b"\r\n\r\n" + after)
        return end

    def switch(self, target, request, *fields, after=b""):
        """The target's answer that takes the WebSocket."""
        lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket",
                 f"Sec-WebSocket-Accept: {accept(field(request, 'sec-websocket-key'))}", *fields]
        target.send("\r\n".join(lines).encode() + b"\r\n\r\n" + after)

    def open(self, target, *fields, answer=(), after=b""):
        """Both ends of an open WebSocket: (client, target, request head, answer head)."""
        client = self.ask(*fields)
        end, request = target.accept()
        self.switch(end, request, *answer, after=after)
        head = client.head()
        assert head.startswith("HTTP/1.1 101 "), head
        return client, end, request, head


def field(head, name):
    """The value of a field, or None."""
    for line in head.split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.lower() == name:
            return value.strip()
    return None


def accept(key):
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


def frame(opcode, payload=b"", fin=True, mask=None, rsv=0):
    """RFC 6455 section 5.2; with `mask`, as clients have to send it."""
    length = len(payload)
    masked = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length < 126:
        head += bytes([masked | length])
    elif length < 65536:
        head += bytes([masked | 126]) + struct.pack(">H", length)
    else:
        head += bytes([masked | 127]) + struct.pack(">Q", length)
    if not mask:
        return head + payload
    stream = mask * (length // 4 + 1)
    turned = int.from_bytes(payload, "big") ^ int.from_bytes(stream[:length], "big")
    return head + mask + turned.to_bytes(length, "big")
