"""The cases, by their names. Komainu passes WebSockets on without looking into them, so all of them compare bytes."""

import inspect
import os
import struct
import sys
import threading

from websocket_ends import Http1, accept, field, frame

MASK = b"\x37\xfa\x21\x3d"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ONLY_HTTP1 = set()


def of(dialect):
    """The cases in the order of this file."""
    functions = [value for name, value in vars(sys.modules[__name__]).items()
                 if inspect.isfunction(value) and value.__module__ == __name__ and list(inspect.signature(value).parameters) == ["socket", "target"]]
    return [one for one in functions if dialect is Http1 or one not in ONLY_HTTP1]


def only_http1(case):
    ONLY_HTTP1.add(case)
    return case


def passes(sender, receiver, data):
    """Sent by one side, it arrives at the other as it is. Large data is sent while it is taken."""
    thread = threading.Thread(target=sender.send, args=(data,), daemon=True)
    thread.start()
    assert receiver.take(len(data)) == data, "other bytes than were sent"
    thread.join()


def both_ways(socket, target, *payloads, opcode=BINARY):
    client, end, *_ = socket.open(target)
    for payload in payloads:
        passes(client, end, frame(opcode, payload, mask=MASK))
        passes(end, client, frame(opcode, payload))
    client.close()


def text_goes_both_ways(socket, target):
    both_ways(socket, target, "Grüße, 木".encode(), opcode=TEXT)


def an_empty_message(socket, target):
    both_ways(socket, target, b"")


def lengths_of_one_byte(socket, target):
    both_ways(socket, target, os.urandom(1), os.urandom(125))


def lengths_of_two_bytes(socket, target):
    both_ways(socket, target, os.urandom(126), os.urandom(65535))


def lengths_of_eight_bytes(socket, target):
    both_ways(socket, target, os.urandom(65536), os.urandom(1 << 20))


def a_frame_of_16_mib(socket, target):
    both_ways(socket, target, os.urandom(16 << 20))


def invalid_utf8_in_text(socket, target):
    both_ways(socket, target, b"\xce\xba\xed\xa0\x80", opcode=TEXT)


def masks_stay_as_they_are(socket, target):
    client, end, *_ = socket.open(target)
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", MASK):
        passes(client, end, frame(TEXT, b"Hello", mask=mask))
    client.close()


def an_unmasked_frame_of_a_client(socket, target):
    client, end, *_ = socket.open(target)
    passes(client, end, frame(TEXT, b"Hello"))
    client.close()


def fragments_stay_fragments(socket, target):
    client, end, *_ = socket.open(target)
    for sender, receiver, mask in ((client, end, MASK), (end, client, None)):
        passes(sender, receiver, frame(TEXT, b"Hel", fin=False, mask=mask))
        passes(sender, receiver, frame(CONTINUATION, b"", fin=False, mask=mask))
        passes(sender, receiver, frame(CONTINUATION, b"lo", mask=mask))
    client.close()


def a_ping_between_fragments(socket, target):
    client, end, *_ = socket.open(target)
    passes(client, end, frame(TEXT, b"Hel", fin=False, mask=MASK) + frame(PING, b"?", mask=MASK))
    passes(end, client, frame(PONG, b"?"))
    passes(client, end, frame(CONTINUATION, b"lo", mask=MASK))
    client.close()


def a_ping_of_the_client_is_for_the_target(socket, target):
    client, end, *_ = socket.open(target)
    passes(client, end, frame(PING, os.urandom(125), mask=MASK))
    assert client.is_silent(), "somebody else answered it"
    passes(end, client, frame(PONG, b"here"))
    client.close()


def a_ping_of_the_target_is_for_the_client(socket, target):
    client, end, *_ = socket.open(target)
    passes(end, client, frame(PING, b""))
    assert end.is_silent(), "somebody else answered it"
    passes(client, end, frame(PONG, b"", mask=MASK))
    client.close()


def a_pong_that_nobody_asked_for(socket, target):
    both_ways(socket, target, b"beat", opcode=PONG)


def reserved_bits_and_opcodes(socket, target):
    client, end, *_ = socket.open(target)
    passes(client, end, frame(TEXT, b"deflated", rsv=4, mask=MASK))
    passes(end, client, frame(11, b"later", rsv=7))
    client.close()


def byte_by_byte(socket, target):
    client, end, *_ = socket.open(target)
    data = frame(TEXT, b"slowly", mask=MASK)
    for at in range(len(data)):
        passes(client, end, data[at : at + 1])
    client.close()


def many_frames_at_once(socket, target):
    client, end, *_ = socket.open(target)
    passes(client, end, b"".join(frame(TEXT, b"%d" % n, mask=MASK) for n in range(10_000)))
    client.close()


def both_at_the_same_time(socket, target):
    client, end, *_ = socket.open(target)
    data = os.urandom(8 << 20)
    up = threading.Thread(target=client.send, args=(data,), daemon=True)
    down = threading.Thread(target=end.send, args=(data,), daemon=True)
    up.start()
    down.start()
    assert end.take(len(data)) == data and client.take(len(data)) == data
    client.close()


def a_target_that_does_not_read_slows_the_client_down(socket, target):
    client, end, *_ = socket.open(target)
    data = frame(BINARY, os.urandom(64 << 20), mask=MASK)
    sender = threading.Thread(target=client.send, args=(data,), daemon=True)
    sender.start()
    # What fits into the buffers of the kernel on the way is taken; all of it isn't.
    sender.join(1)
    assert sender.is_alive(), "64 MiB were taken that nobody reads"
    assert end.take(len(data)) == data
    client.close()


def closing(socket, target, payload):
    """A close from the client, the answer of the target, and then the end for both (section 7.1.1: the server closes first)."""
    client, end, *_ = socket.open(target)
    passes(client, end, frame(CLOSE, payload, mask=MASK))
    passes(end, client, frame(CLOSE, payload))
    end.close()
    assert client.has_ended()
    client.close()


def close_1000(socket, target):
    closing(socket, target, struct.pack(">H", 1000))


def close_without_a_code(socket, target):
    closing(socket, target, b"")


def close_with_the_longest_reason(socket, target):
    closing(socket, target, struct.pack(">H", 4999) + b"r" * 123)


def close_with_a_code_that_may_not_be_sent(socket, target):
    closing(socket, target, struct.pack(">H", 1006))


def close_by_the_target(socket, target):
    client, end, *_ = socket.open(target)
    passes(end, client, frame(CLOSE, struct.pack(">H", 1001) + b"going away"))
    passes(client, end, frame(CLOSE, struct.pack(">H", 1001), mask=MASK))
    end.close()
    assert client.has_ended()
    client.close()


def a_client_that_finishes_still_gets_messages(socket, target):
    client, end, *_ = socket.open(target)
    passes(client, end, frame(TEXT, b"last", mask=MASK))
    client.finish()
    assert end.has_ended()
    passes(end, client, frame(TEXT, os.urandom(1 << 20)))
    end.close()
    assert client.has_ended()
    client.close()


def a_target_that_finishes_still_gets_messages(socket, target):
    client, end, *_ = socket.open(target)
    passes(end, client, frame(TEXT, b"last"))
    end.finish()
    assert client.has_ended()
    passes(client, end, frame(TEXT, os.urandom(1 << 20), mask=MASK))
    client.close()
    assert end.has_ended()
    end.close()


def a_client_that_aborts(socket, target):
    client, end, *_ = socket.open(target)
    client.reset()
    assert end.has_ended()
    end.close()


def a_target_that_aborts(socket, target):
    client, end, *_ = socket.open(target)
    end.reset()
    assert client.has_ended()
    client.close()


def the_end_in_the_middle_of_a_frame(socket, target):
    client, end, *_ = socket.open(target)
    half = frame(BINARY, os.urandom(1000), mask=MASK)[:500]
    passes(client, end, half)
    client.close()
    assert end.has_ended()
    end.close()


def what_the_target_sends_with_its_answer(socket, target):
    first = frame(TEXT, b"welcome")
    client, end, *_ = socket.open(target, after=first)
    assert client.take(len(first)) == first
    client.close()


@only_http1
def what_the_client_sends_before_the_answer_waits_for_it(socket, target):
    first = frame(TEXT, b"eager", mask=MASK)
    client = socket.ask(after=first)
    end, request = target.accept()
    # Else a target that doesn't switch would take it for its next request.
    assert end.is_silent(), "it came before the target switched"
    socket.switch(end, request)
    assert client.head().startswith("HTTP/1.1 101 ")
    assert end.take(len(first)) == first
    client.close()


@only_http1
def key_and_its_answer_are_passed_on(socket, target):
    client, _, request, answer = socket.open(target)
    assert field(request, "sec-websocket-key") == socket.key
    assert field(answer, "sec-websocket-accept") == accept(socket.key)
    assert field(answer, "connection").lower() == "upgrade" and field(answer, "upgrade") == "websocket"
    client.close()


def the_request_is_passed_on(socket, target):
    client, _, request, _ = socket.open(target, "Origin: http://example.org", "Cookie: a=b")
    assert request.startswith("GET /chat?room=1 HTTP/1.1\r\n"), request
    assert field(request, "connection").lower() == "upgrade" and field(request, "upgrade") == "websocket", request
    assert field(request, "sec-websocket-version") == "13"
    assert field(request, "origin") == "http://example.org" and field(request, "cookie") == "a=b"
    client.close()


def extensions_and_protocols_are_between_the_ends(socket, target):
    offered = "permessage-deflate; client_max_window_bits"
    client, _, request, answer = socket.open(
        target, f"Sec-WebSocket-Extensions: {offered}", "Sec-WebSocket-Protocol: chat, superchat",
        answer=("Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: chat"))
    assert field(request, "sec-websocket-extensions") == offered
    assert field(request, "sec-websocket-protocol") == "chat, superchat"
    assert field(answer, "sec-websocket-extensions") == "permessage-deflate"
    assert field(answer, "sec-websocket-protocol") == "chat"
    client.close()


@only_http1
def a_refusal_is_an_answer_like_any_other(socket, target):
    client = socket.ask()
    end, _ = target.accept()
    end.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    assert client.head().startswith("HTTP/1.1 403 ")
    assert client.take(2) == b"no"
    end.close()
    client.send(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
    end, request = target.accept()
    assert request.startswith("GET / ")
    end.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.head().startswith("HTTP/1.1 204 ")
    end.close()
    client.close()


@only_http1
def a_wrong_version_is_told(socket, target):
    client = socket.ask()
    end, _ = target.accept()
    end.send(b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n")
    head = client.head()
    assert head.startswith("HTTP/1.1 426 ") and field(head, "sec-websocket-version") == "13"
    client.close()
    end.close()
