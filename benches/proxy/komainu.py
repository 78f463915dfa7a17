"""Komainu as it is measured: 1,000 other routes, with health checks, circuit breaker, retries and metrics on."""

import pathlib
import shutil
import socket
import urllib.error
import urllib.request

from servers import OWN_PORT, PROXY_CORE, UPSTREAM_PORT, start

# Circuit breaker and one retry are the defaults; so are metrics.
OBJECTS = f"""
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {{name: bench}}
spec:
  targets: [{{hostname: 127.0.0.1, port: {UPSTREAM_PORT}}}]
  healthCheck: {{enabled: true, url: /, interval: 1s, timeout: 500ms, blockOnRed: true, logicCheck: false}}
---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: bench}}
spec:
  matches: [{{paths: [{{value: /bench}}]}}]
  backends: [{{ref: {{name: bench}}}}]
---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: bench-websocket}}
spec:
  matches: [{{paths: [{{value: /ws}}]}}]
  stripPath: false
  backends: [{{inline: {{targets: [{{hostname: 127.0.0.1, port: {OWN_PORT}}}]}}}}]
"""
GRPC = f"""
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: bench-grpc}}
spec:
  matches: [{{paths: [{{value: /grpc}}]}}]
  stripPath: false
  backends: [{{inline: {{targets: [{{hostname: 127.0.0.1, port: {OWN_PORT}, protocol: HTTP/2.0}}]}}}}]
"""


def plain(folder, program, port=18083):
    """In clear text, HTTP/1.1 and HTTP/2 on one port."""
    return run("komainu", folder, program, port, port, clear_http2=port)


def with_tls(folder, program, certificate):
    """A process of its own, so that the other is measured also by a program that can't do TLS yet."""
    routes = pathlib.Path("target/bench-proxy/routes")
    (routes / "certificates").mkdir(exist_ok=True)
    shutil.copy(certificate[0], routes / "certificates/bench.crt")
    shutil.copy(certificate[1], routes / "certificates/bench.key")
    try:
        return run("komainu-tls", folder, program, 18283, 18383, {
            "listeners.1.name": "https", "listeners.1.protocol": "HTTPS",
            "listeners.1.address": "127.0.0.1", "listeners.1.port": 18283,
        }, tls=18283)
    except Exception:
        shutil.rmtree(routes / "certificates")
        raise


def run(name, folder, program, port, clear, extra=None, **ports):
    routes = pathlib.Path("target/bench-proxy/routes")
    (routes / "bench.yaml").write_text(OBJECTS)
    (routes / "bench-grpc.yaml").write_text(GRPC)
    settings = {
        "resources": routes.resolve(),
        "dataDirectory": folder / f"{name}-{port}",
        "listeners.0.address": "127.0.0.1",
        "listeners.0.port": clear,
        "admin.port": port + 1000,
        "proxy.threads": 1,
        **(extra or {}),
    }
    command = [program, "standalone"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]

    def is_ready(_):
        try:
            for opened in ports.values():
                socket.create_connection(("127.0.0.1", opened)).close()
            return urllib.request.urlopen(f"http://127.0.0.1:{port + 1000}/ready", timeout=2).status == 200
        except (urllib.error.URLError, ConnectionError, OSError):
            return False

    server = start(name, PROXY_CORE, command, folder, clear, is_ready, **ports)
    server.metrics = f"http://127.0.0.1:{port + 1000}/metrics"
    return server
