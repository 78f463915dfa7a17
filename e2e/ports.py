"""Ports for what is put under test."""

import random
import socket

PORTS = iter(random.sample(range(16_384, 32_768), 16_384))


def free_port():
    """One of those that the kernel gives to no client: what ended a moment ago may still hold the others, on another address."""
    for port in PORTS:
        try:
            socket.create_server(("", port)).close()
            return port
        except OSError:
            pass
    raise SystemExit("no port between 16384 and 32768 is free")
