"""Komainu, nginx and HAProxy, each in front of a target of its own, with their defaults."""

import atexit
import pathlib
import shutil
import socket
import subprocess
import sys
import time

from target import Target

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from ports import free_port


class Proxy:
    def __init__(self, name, version, port, target, command, log):
        self.name, self.version, self.port, self.target = name, version, port, target
        output = open(log, "wb")
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output)
        atexit.register(process.kill)
        listens(name, process, port, log)


def listens(name, process, port, log):
    """Waits until the process accepts connections."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} doesn't start: {pathlib.Path(log).read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)


def version(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    words = (done.stdout + done.stderr).replace("/", " ").split()
    return next(word.split("-")[0] for word in words if word[0].isdigit())


def certificate(folder):
    """A self-signed certificate for 127.0.0.1: its file, and that of its key."""
    chain, key = folder / "own.crt", folder / "own.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", chain]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return chain, key


def komainu(folder, program, pair=None):
    target = Target()
    port, command = standalone(folder, program, f"{{hostname: 127.0.0.1, port: {target.port}}}", pair)
    return Proxy("Komainu", version(program, "--version"), port, target, command, folder / "komainu.log")


def komainu_alone(folder, program, target, pair=None):
    """Komainu in front of `target`, which is as in a Backend. Answers its port."""
    port, command = standalone(folder, program, target, pair)
    return Proxy("Komainu", version(program, "--version"), port, None, command, folder / "komainu.log").port


def standalone(folder, program, target, pair):
    """With a pair from `certificate` it serves HTTPS, and targets may trust `own`."""
    port = free_port()
    resources = folder / "resources"
    resources.mkdir()
    (resources / "all.yaml").write_text(f"""
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: all}}
spec:
  matches: [{{}}]
  backends: [{{inline: {{targets: [{target}]}}}}]
""")
    settings = {
        "resources": resources,
        "dataDirectory": folder / "data",
        "listeners.0.address": "127.0.0.1",
        "listeners.0.port": port,
        "admin.port": free_port(),
    }
    if pair:
        (resources / "certificates").mkdir()
        for file in pair:
            shutil.copy(file, resources / "certificates")
        settings["listeners.0.protocol"] = "HTTPS"
    command = [program, "standalone"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    return port, command


def nginx(folder):
    port, target = free_port(), Target()
    file = folder / "nginx.conf"
    file.write_text(f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream t {{ server 127.0.0.1:{target.port}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://t; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host; }}
  }}
}}
""")
    return Proxy("nginx", version("nginx", "-v"), port, target, ["nginx", "-c", file, "-p", folder], folder / "nginx.log")


def haproxy(folder):
    port, target = free_port(), Target()
    file = folder / "haproxy.cfg"
    file.write_text(f"""
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  retries 0
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{target.port}
""")
    command = ["haproxy", "-db", "-f", file]
    return Proxy("HAProxy", version("haproxy", "-v"), port, target, command, folder / "haproxy.log")


def start(folder, program):
    folder = pathlib.Path(folder)
    return [komainu(folder, program), nginx(folder), haproxy(folder)]
