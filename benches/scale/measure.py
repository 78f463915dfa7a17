"""A leader on a folder of many routes and backends, and a worker. Prints one line per figure: name=value limit=LIMIT ok|short."""

import argparse
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.append(str(pathlib.Path(__file__).parents[2] / "e2e"))
from ports import free_port

FOLDER = pathlib.Path("target/bench-scale").resolve()
CREDENTIALS = {"cluster.leader.clientId": "bench", "cluster.leader.clientSecret": "a-secret-of-the-benchmark"}
FILES = 100
# Seconds.
CHURN, PATIENCE = 30, 120
# How long a worker with a state on disk waits for a leader before it calls itself ready; it serves meanwhile.
BOOT_WAIT = 5


def backend(number, port=9101):
    return (f"---\napiVersion: komainu.dev/v1alpha1\nkind: Backend\nmetadata: {{name: backend-{number}}}\n"
            f"spec: {{targets: [{{hostname: 127.0.0.1, port: {port}}}]}}\n")


def route(number, backends, suffix=""):
    """Of ten routes one has a regex in its path."""
    path = f"/service-{number}/" + ("$id<[0-9]+>/items" if number % 10 == 0 else "items") + suffix
    return (f"---\napiVersion: komainu.dev/v1alpha1\nkind: Route\nmetadata: {{name: route-{number}}}\n"
            f"spec: {{matches: [{{hostnames: [host-{number // 20}.example.com], paths: [{{value: '{path}'}}]}}], "
            f"backends: [{{ref: {{name: backend-{number % backends}}}}}]}}\n")


PROBE = ("---\napiVersion: komainu.dev/v1alpha1\nkind: Route\nmetadata: {name: the-probe}\n"
         "spec: {matches: [{paths: [{value: /the-probe}]}], filters: {directResponse: {status: 204}}}\n")


class Resources:
    """A folder of routes and backends, spread over files."""

    def __init__(self, routes, backends):
        self.folder, self.backends = FOLDER / "resources", backends
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.files = [{} for _ in range(FILES)]
        for number in range(backends):
            self.files[number % FILES][f"backend-{number}"] = backend(number)
        for number in range(routes):
            self.files[number % FILES][f"route-{number}"] = route(number, backends)
        for index in range(FILES):
            self.write(index)

    def write(self, index):
        temporary = FOLDER / "new.yaml"
        temporary.write_text("".join(self.files[index].values()))
        temporary.rename(self.folder / f"objects-{index:03}.yaml")

    def change_route(self, number, suffix):
        self.files[number % FILES][f"route-{number}"] = route(number, self.backends, suffix)
        self.write(number % FILES)

    def change_backend(self, number, port):
        self.files[number % FILES][f"backend-{number}"] = backend(number, port)
        self.write(number % FILES)


class Relay:
    """Stands between a worker and a leader and counts what both send, heads included."""

    def __init__(self, leader):
        self.leader, self.passed, self.lock = leader, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            worker, _ = self.listener.accept()
            try:
                leader = socket.create_connection(("127.0.0.1", self.leader))
            except OSError:
                worker.close()
                continue
            threading.Thread(target=self.pass_on, args=(worker, leader), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(leader, worker), daemon=True).start()

    def pass_on(self, source, sink):
        try:
            while piece := source.recv(65536):
                with self.lock:
                    self.passed += len(piece)
                sink.sendall(piece)
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Process:
    def __init__(self, program, mode, admin, **values):
        self.admin, self.log = admin, FOLDER / f"{mode}.log"
        settings = {"admin.port": admin, **CREDENTIALS, **{key.replace("__", "."): value for key, value in values.items()}}
        command = [program, mode]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        self.began = time.monotonic()
        log = open(self.log, "ab")
        self.process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)

    def until(self, port, path, status):
        """Milliseconds from the start until the answer has this status."""
        while time.monotonic() < self.began + PATIENCE:
            if self.process.poll() is not None:
                raise SystemExit(f"the process ended; see {self.log}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                    seen = answer.status
            except urllib.error.HTTPError as error:
                seen = error.code
            except OSError:
                seen = None
            if seen == status:
                return (time.monotonic() - self.began) * 1000
            time.sleep(0.005)
        raise SystemExit(f"no {status} on port {port}{path} in {PATIENCE} s; see {self.log}")

    def ready(self):
        return self.until(self.admin, "/ready", 200)

    def resident(self):
        """MiB in memory now."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:")) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Cluster:
    """A leader on a folder, and one worker after the other."""

    def __init__(self, program, resources):
        self.program = program
        for old in ("leader", "worker"):
            shutil.rmtree(FOLDER / old, ignore_errors=True)
        self.leader = Process(program, "leader", free_port(), dataDirectory=FOLDER / "leader", resources=resources.folder)
        self.leader.ready()
        self.relay = Relay(self.leader.admin)

    def worker(self):
        self.port = free_port()
        urls = {"cluster__leader__urls__0": f"http://127.0.0.1:{self.relay.port}"}
        return Process(self.program, "worker", free_port(), dataDirectory=FOLDER / "worker", proxy__threads=1,
                       listeners__0__address="127.0.0.1", listeners__0__port=self.port, cluster__worker__name="bench", **urls)


def churn(resources, relay):
    """Bytes a second between the leader and one worker, both ways, while one route a second and one backend every two seconds change."""
    before, began = relay.passed, time.monotonic()
    for second in range(CHURN):
        resources.change_route(second * 7 + 1, f"/{second}")
        if second % 2 == 0:
            resources.change_backend(second * 11 + 3, 9200 + second)
        time.sleep(max(0, began + second + 1 - time.monotonic()))
    return (relay.passed - before) / (time.monotonic() - began)


def show(results, name, value, limit, unit):
    verdict = "ok" if value <= limit else "short"
    results.append(verdict)
    print(f"{name}={value:.1f} unit={unit} limit={limit} {verdict}", flush=True)


def measure(program, routes, backends, results):
    resources = Resources(routes, backends)
    (resources.folder / "the-probe.yaml").write_text(PROBE)
    cluster = Cluster(program, resources)
    worker = None
    try:
        worker = cluster.worker()
        show(results, "cold_start_from_leader_ms", worker.ready(), 1000, "ms")
        show(results, "churn_bytes_per_second", churn(resources, cluster.relay), 10_000, "B/s")
        show(results, "worker_rss_mib", worker.resident(), 40, "MiB")
        show(results, "leader_rss_mib", cluster.leader.resident(), 150, "MiB")
        worker.stop()
        worker = cluster.worker()
        show(results, "ready_from_disk_with_leader_ms", worker.ready(), 300, "ms")
        worker.stop()
        cluster.leader.stop()
        worker = cluster.worker()
        show(results, "first_request_from_disk_ms", worker.until(cluster.port, "/the-probe", 204), 300, "ms")
        show(results, "ready_from_disk_ms", worker.ready(), BOOT_WAIT * 1000 + 300, "ms")
    finally:
        for each in (worker, cluster.leader):
            if each:
                each.process.kill()


def measure_large(program, routes, backends, results):
    cluster = Cluster(program, Resources(routes, backends))
    worker = None
    try:
        worker = cluster.worker()
        worker.ready()
        show(results, "large_worker_rss_mib", worker.resident(), 140, "MiB")
    finally:
        for each in (worker, cluster.leader):
            if each:
                each.process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="target/dist/komainu")
    parser.add_argument("--routes", type=int, default=5000)
    parser.add_argument("--backends", type=int, default=5000)
    parser.add_argument("--large", type=int, default=40_000)
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    program, results = os.path.abspath(arguments.program), []
    measure(program, arguments.routes, arguments.backends, results)
    if arguments.large:
        measure_large(program, arguments.large, arguments.backends, results)
    return 0 if set(results) == {"ok"} else 1


if __name__ == "__main__":
    sys.exit(main())
