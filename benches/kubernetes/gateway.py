"""An API server, one leader that follows it, three workers and a real upstream."""

import json
import shutil
import subprocess
import urllib.request

from api_server import ApiServer
from ports import free_port
from processes import Failed, Process

WORKERS = 3
CREDENTIALS = {"cluster.leader.clientId": "bench", "cluster.leader.clientSecret": "a-secret-of-the-benchmark"}


def is_ready(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
        return answer.status == 200


class Gateway:
    """What it starts is stopped by the stack."""

    def __init__(self, stack, folder, options):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.load = folder, options.load
        self.api_server = ApiServer(stack, folder, options.tools, options.program)
        self.target = free_port()
        self.start(stack, "upstream", self.target, options.load, "upstream", "-listen", f"127.0.0.1:{self.target}")
        admin = free_port()
        settings = {"dataDirectory": folder / "leader", "admin.port": admin}
        self.leader = self.start_komainu(stack, options.program, "leader", ["leader", "--kubernetes"], settings,
                                         KUBECONFIG=self.api_server.kubeconfig("leader"))
        self.workers, self.addresses = [], []
        for number in range(1, 1 + WORKERS):
            port, name = free_port(), f"worker-{number}"
            settings = {
                "dataDirectory": folder / name, "admin.port": free_port(), "proxy.threads": 1, "listeners.0.address": "127.0.0.1",
                "listeners.0.port": port, "cluster.worker.name": name, "cluster.leader.urls.0": f"http://127.0.0.1:{admin}",
            }
            self.workers.append(self.start_komainu(stack, options.program, name, ["worker"], settings))
            self.addresses.append(f"127.0.0.1:{port}")

    def start(self, stack, name, port, *command, **environment):
        process = Process(name, self.folder, *command, **environment)
        stack.callback(process.stop)
        process.until("ready", lambda: is_ready(port))
        return process

    def start_komainu(self, stack, program, name, mode, settings, **environment):
        parts = [part for key, value in {**settings, **CREDENTIALS}.items() for part in ("--set", f"{key}={value}")]
        return self.start(stack, name, settings["admin.port"], program, *mode, *parts, **environment)

    def processes(self):
        return [self.leader, *self.workers, self.api_server.process, self.api_server.etcd]

    def drive(self, subcommand, *flags):
        """Runs a client of benches/load; what it reports."""
        command = [self.load, subcommand, *self.api_server.load_flags(), *flags]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise Failed(f"{subcommand}: {done.stderr.strip()}; the logs are in {self.folder}")
        return json.loads(done.stdout.splitlines()[-1])
