"""Starting and stopping servers, and the upstreams that the proxies stand before. Everything is on loopback."""

import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request

LOAD = pathlib.Path("target/bench-proxy/load").resolve()
UPSTREAM_PORT, OWN_PORT = 18080, 18070
CLIENT_CORE, PROXY_CORE = "0", "1"
BODY = "x" * 1024


class Missing(Exception):
    """A server, or something that it is to serve, isn't there; the text is the reason."""


class Server:
    """A started server: its process tree and its ports for HTTP/1.1, HTTP/2 in clear text, and TLS."""

    def __init__(self, name, process, port, clear_http2=None, tls=None):
        self.name, self.process = name, process
        self.port, self.clear_http2_port, self.tls_port = port, clear_http2, tls
        self.url = f"http://127.0.0.1:{port}/bench"
        self.clear_http2_url = f"http://127.0.0.1:{clear_http2}/bench"
        self.tls_url = f"https://127.0.0.1:{tls}/bench"

    def pids(self):
        tree, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            tree.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    queue += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except FileNotFoundError:
                continue
        return tree

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()


def start(name, core, command, folder, port, ready=None, **ports):
    """Starts a server on a core and waits until `ready`, or else its port for HTTP/1.1, answers with the body."""
    path = folder / f"{name}.log"
    log = open(path, "wb")
    process = subprocess.Popen(["taskset", "-c", core, *map(str, command)], stdout=log, stderr=log)
    server = Server(name, process, port, **ports)
    deadline = time.monotonic() + 20
    while not (ready or answers)(server):
        if process.poll() is not None or time.monotonic() > deadline:
            server.stop()
            last = path.read_text(errors="replace").strip().splitlines()[-1:]
            raise Missing(f"{name} doesn't start: {' '.join(last) or 'no answer'}")
        time.sleep(0.05)
    return server


def answers(server):
    try:
        with urllib.request.urlopen(server.url, timeout=2) as answer:
            return len(answer.read()) == len(BODY)
    except (urllib.error.URLError, ConnectionError, OSError):
        return False


def certificate(folder):
    """A self-signed ECDSA P-256 certificate: the files with the chain, the key, and both."""
    chain, key, both = folder / "bench.crt", folder / "bench.key", folder / "bench.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-out", chain, "-keyout", key], check=True, capture_output=True)
    both.write_text(chain.read_text() + key.read_text())
    key.chmod(0o600)
    return chain, key, both


def nginx_configuration(folder, name, servers, extra=""):
    return f"""
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; server_tokens off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {extra}
  {servers}
}}
"""


def upstream(folder):
    """nginx: 1 KiB for each GET."""
    file = folder / "upstream.conf"
    server = f'server {{ listen 127.0.0.1:{UPSTREAM_PORT} reuseport; location / {{ default_type text/plain; return 200 "{BODY}"; }} }}'
    file.write_text(nginx_configuration(folder, "upstream", server))
    return start("upstream", CLIENT_CORE, ["nginx", "-c", file, "-p", folder], folder, UPSTREAM_PORT)


def own_upstream(folder):
    """Our own: a WebSocket that echoes, and a unary gRPC call over HTTP/2 in clear text."""
    command = [LOAD, "upstream", "-listen", f"127.0.0.1:{OWN_PORT}"]
    return start("own-upstream", CLIENT_CORE, command, folder, OWN_PORT)
