"""The servers under comparison: one upstream and three proxies, each in its own folder, on loopback."""

import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request

UPSTREAM_PORT = 18080
CLIENT_CORE, PROXY_CORE = "0", "1"
BODY = "x" * 1024


class Server:
    """A started server: its process tree and the URL that the generator calls."""

    def __init__(self, name, process, url):
        self.name, self.process, self.url = name, process, url

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


def start(name, core, command, url, folder, environment=None):
    log = open(folder / f"{name}.log", "wb")
    process = subprocess.Popen(
        ["taskset", "-c", core, *map(str, command)], stdout=log, stderr=log, env={**os.environ, **(environment or {})}
    )
    server = Server(name, process, url)
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                assert len(answer.read()) == len(BODY)
                return server
        except (urllib.error.URLError, ConnectionError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} doesn't answer on {url}; see {folder / name}.log")
            time.sleep(0.05)


def nginx_configuration(folder, port, location, extra=""):
    return f"""
worker_processes 1; daemon off; pid {folder}/nginx-{port}.pid; error_log {folder}/nginx-{port}.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; server_tokens off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {extra}
  server {{ listen 127.0.0.1:{port} reuseport; location / {{ {location} }} }}
}}
"""


def upstream(folder):
    file = folder / "upstream.conf"
    file.write_text(nginx_configuration(folder, UPSTREAM_PORT, f'default_type text/plain; return 200 "{BODY}";'))
    command = ["nginx", "-c", file, "-p", folder]
    return start("upstream", CLIENT_CORE, command, f"http://127.0.0.1:{UPSTREAM_PORT}/", folder)


def nginx(folder):
    port = 18081
    pool = f"upstream u {{ server 127.0.0.1:{UPSTREAM_PORT}; keepalive 64; keepalive_requests 100000000; }}"
    location = (
        "proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host;"
        " proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;"
        " proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Port $server_port;"
        ' proxy_set_header Forwarded "for=$remote_addr;host=\\"$http_host\\";proto=$scheme";'
    )
    file = folder / "nginx.conf"
    file.write_text(nginx_configuration(folder, port, location, pool))
    return start("nginx", PROXY_CORE, ["nginx", "-c", file, "-p", folder], f"http://127.0.0.1:{port}/bench", folder)


def haproxy(folder):
    port = 18082
    file = folder / "haproxy.cfg"
    file.write_text(f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  http-reuse always
  timeout client 600s
  timeout server 60s
  timeout connect 5s
frontend f
  bind 127.0.0.1:{port}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header Forwarded "for=%[src];host=\\"%[req.hdr(host)]\\";proto=http"
  default_backend b
backend b
  server s 127.0.0.1:{UPSTREAM_PORT} maxconn 1024 pool-max-conn 128
""")
    return start("haproxy", PROXY_CORE, ["haproxy", "-db", "-f", file], f"http://127.0.0.1:{port}/bench", folder)


BENCH_ROUTE = f"""
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: bench}}
spec:
  matches: [{{paths: [{{value: /bench}}]}}]
  backends: [{{inline: {{targets: [{{hostname: 127.0.0.1, port: {UPSTREAM_PORT}}}]}}}}]
"""


def komainu(folder, program, port=18083):
    """Komainu with the 1,000 routes of `write-routes` loaded, and one more that is measured."""
    routes = pathlib.Path("target/bench-proxy/routes")
    (routes / "bench.yaml").write_text(BENCH_ROUTE)
    name = f"komainu-{port}"
    settings = {
        "resources": routes.resolve(),
        "dataDirectory": folder / name,
        "listeners.0.address": "127.0.0.1",
        "listeners.0.port": port,
        "admin.port": port + 1000,
        "proxy.threads": 1,
    }
    command = [program, "standalone"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    server = start("komainu", PROXY_CORE, command, f"http://127.0.0.1:{port}/bench", folder)
    server.metrics = f"http://127.0.0.1:{port + 1000}/metrics"
    return server
