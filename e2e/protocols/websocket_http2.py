"""A WebSocket over HTTP/2, opened by extended CONNECT (RFC 8441). Needs the Python package h2."""

import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from websocket_ends import PATIENCE, Http1


class Http2:
    """Opens each WebSocket on a connection of its own."""

    name = "HTTP/2"

    def __init__(self, port):
        self.port = port

    def open(self, target, *fields, answer=(), after=b""):
        """Both ends of an open WebSocket: (client, target, request head, answer head)."""
        client = Stream(self.port)
        client.ask(fields)
        end, request = target.accept()
        Http1.switch(self, end, request, *answer, after=after)
        head = client.head()
        assert head.startswith("HTTP/2 200"), head
        return client, end, request, head


class Stream:
    """The client's end: one stream of a connection. Its frames are taken by a thread, as flow control wants."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.changed = threading.Condition()
        self.state = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False))
        self.stream, self.answer, self.received, self.has_begun = 1, None, bytearray(), False
        # The other side sends nothing more; nothing can be sent any more either.
        self.is_finished = self.is_over = False
        with self.changed:
            self.state.initiate_connection()
            self.flush()
        threading.Thread(target=self.follow, daemon=True).start()
        self.wait(lambda: self.has_begun or self.is_over)
        enabled = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
        assert self.state.remote_settings.get(enabled) == 1, "extended CONNECT isn't offered"

    def flush(self):
        self.connection.sendall(self.state.data_to_send())

    def wait(self, condition):
        with self.changed:
            if not self.changed.wait_for(condition, PATIENCE):
                raise TimeoutError("nothing more comes")

    def follow(self):
        try:
            while data := self.connection.recv(1 << 18):
                with self.changed:
                    for event in self.state.receive_data(data):
                        self.take_event(event)
                    self.flush()
                    self.changed.notify_all()
        except OSError:
            pass
        with self.changed:
            self.is_finished = self.is_over = True
            self.changed.notify_all()

    def take_event(self, event):
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.has_begun = True
        elif isinstance(event, h2.events.ResponseReceived):
            self.answer = event.headers
        elif isinstance(event, h2.events.DataReceived):
            self.received += event.data
            self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.is_finished = True
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            self.is_finished = self.is_over = True

    def ask(self, fields):
        headers = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat?room=1"),
                   (":authority", "example.org"), ("sec-websocket-version", "13")]
        headers += [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        with self.changed:
            self.state.send_headers(self.stream, headers)
            self.flush()

    def head(self):
        """The answer's head, in the form of HTTP/1.1."""
        self.wait(lambda: self.answer is not None or self.is_finished)
        assert self.answer is not None, "the stream ended without an answer"
        (_, status), *fields = self.answer
        return "\r\n".join([f"HTTP/2 {status}", *(f"{name}: {value}" for name, value in fields)])

    def send(self, data):
        view = memoryview(data)
        while view:
            self.wait(lambda: self.is_over or self.state.local_flow_control_window(self.stream) > 0)
            with self.changed:
                if self.is_over:
                    raise ConnectionResetError("the stream is over")
                size = min(self.state.local_flow_control_window(self.stream), self.state.max_outbound_frame_size, len(view))
                self.state.send_data(self.stream, bytes(view[:size]))
                self.flush()
            view = view[size:]

    def take(self, count):
        self.wait(lambda: len(self.received) >= count or self.is_finished)
        with self.changed:
            if len(self.received) < count:
                raise EOFError(f"the end after {len(self.received)} of {count} bytes")
            data = bytes(self.received[:count])
            del self.received[:count]
            return data

    def has_ended(self):
        self.wait(lambda: self.is_finished)
        return not self.received

    def is_silent(self):
        """Whether nothing comes. There is nothing to wait for but the absence of it."""
        with self.changed:
            return not self.changed.wait_for(lambda: self.received or self.is_finished, 0.2)

    def finish(self):
        with self.changed:
            self.state.end_stream(self.stream)
            self.flush()

    def close(self):
        try:
            # Wakes the thread, too.
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()

    def reset(self):
        with self.changed:
            self.state.reset_stream(self.stream, h2.errors.ErrorCodes.CANCEL)
            self.flush()
