"""A leader and three workers; routes are added one by one. Prints a table and one PASS, FAIL or VOID."""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

LOAD = pathlib.Path("target/bench-proxy/load").resolve()
FOLDER = pathlib.Path("target/bench-propagation").resolve()
LEADER, TARGET, WORKERS = 18610, 18600, [(18621, 18631), (18622, 18632), (18623, 18633)]
CREDENTIALS = ("bench", "a-secret-of-the-benchmark")
# Microseconds.
LIMITS = {"mean": 10_000, "p99": 30_000, "p999": 75_000}
# Beyond that the machine is too busy to say anything.
LATE_LIMIT = 10_000
# Bytes of a change beside the object itself.
OVERHEAD = 1024
PUBLISHED = """Published for 3,000 routes, from write to first 200 (gateway-api-bench, part 2; 16 cores, one data plane, mean / max):
agentgateway 16.6 / 74.6 ms, Istio 221 / 1,240 ms, Envoy Gateway 320 / 1,210 ms, NGINX Gateway Fabric 508 / 919 ms."""


class Process:
    def __init__(self, name, *command):
        log = open(FOLDER / f"{name}.log", "wb")
        self.name = name
        self.process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)

    def memory_mib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        self.process.kill()
        self.process.wait()


def settings(**values):
    return [part for key, value in values.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


def start(program):
    secret = {"cluster__leader__clientId": CREDENTIALS[0], "cluster__leader__clientSecret": CREDENTIALS[1]}
    processes = [Process("target", LOAD, "upstream", "-listen", f"127.0.0.1:{TARGET}")]
    leader = settings(dataDirectory=FOLDER / "leader", admin__port=LEADER, **secret)
    processes.append(Process("leader", program, "leader", *leader))
    for number, (admin, port) in enumerate(WORKERS, 1):
        own = settings(**{
            "dataDirectory": FOLDER / f"worker-{number}", "admin__port": admin, "proxy__threads": 1,
            "listeners__0__address": "127.0.0.1", "listeners__0__port": port,
            "cluster__worker__name": f"worker-{number}", "cluster__leader__urls__0": f"http://127.0.0.1:{LEADER}",
        }, **secret)
        processes.append(Process(f"worker-{number}", program, "worker", *own))
    for port in [LEADER, *(admin for admin, _ in WORKERS)]:
        wait(port)
    return processes


def wait(port):
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2)
            return
        except (urllib.error.URLError, ConnectionError, OSError):
            if time.monotonic() > deadline:
                raise SystemExit(f"nothing is ready on port {port}; see {FOLDER}")
            time.sleep(0.05)


def counters():
    text = urllib.request.urlopen(f"http://127.0.0.1:{LEADER}/metrics").read().decode()
    lines = (line.split() for line in text.splitlines() if line.startswith("komainu_leader_"))
    return {line[0]: float(line[1]) for line in lines}


def measure(title, routes, filled, program):
    for old in ("leader", *(f"worker-{number}" for number in range(1, 1 + len(WORKERS)))):
        shutil.rmtree(FOLDER / old, ignore_errors=True)
    processes = start(program)
    try:
        print(f"{title} …", flush=True)
        before = counters()
        command = [LOAD, "propagation", "-leader", f"http://127.0.0.1:{LEADER}", "-credentials", ":".join(CREDENTIALS)]
        command += ["-workers", ",".join(f"127.0.0.1:{port}" for _, port in WORKERS)]
        command += ["-target", str(TARGET), "-routes", str(routes), "-filled", str(filled)]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{title}: {done.stderr.strip()}")
        seen = json.loads(done.stdout.splitlines()[-1])
        after = counters()
        grown = {key: after[key] - before.get(key, 0) for key in after}
        seen["changes"] = grown["komainu_leader_changes_sent_total"]
        seen["bytes"] = grown["komainu_leader_change_sent_bytes_total"] / max(1, seen["changes"])
        seen["writes"] = routes + seen["edits"] + 2 * filled
        seen["leader_mib"] = processes[1].memory_mib()
        seen["worker_mib"] = max(process.memory_mib() for process in processes[2:])
        return seen
    finally:
        for process in processes:
            process.stop()


def judge(seen):
    """(verdict, reasons)"""
    if seen["late_p999"] > LATE_LIMIT:
        return "VOID", [f"a sleeper woke {seen['late_p999'] / 1000:.1f} ms late at p99.9"]
    reasons = [f"{name} is {seen[name] / 1000:.1f} ms" for name, limit in LIMITS.items() if seen[name] > limit]
    if seen["wrong"]:
        reasons.append(f"{seen['wrong']} answers were neither 404 nor 200")
    if seen["changes"] > len(WORKERS) * seen["writes"]:
        reasons.append(f"{seen['changes']:.0f} messages for {seen['writes']} writes and {len(WORKERS)} workers")
    if seen["bytes"] > OVERHEAD + 1024:
        reasons.append(f"{seen['bytes']:.0f} bytes a message")
    return ("FAIL" if reasons else "PASS"), reasons


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=3000)
    parser.add_argument("--filled", type=int, default=5000)
    parser.add_argument("--program", default="target/dist/komainu")
    arguments = parser.parse_args()
    print(PUBLISHED, flush=True)
    results, verdicts = {}, []
    for title, filled in [("empty", 0), (f"among {arguments.filled} routes and as many backends, with edits", arguments.filled)]:
        seen = measure(title, arguments.routes, filled, arguments.program)
        verdict, reasons = judge(seen)
        verdicts.append(verdict)
        results[title] = {**seen, "verdict": verdict, "reasons": reasons}
        print(f"  ms from write to first 200, {seen['seen']} times: mean {seen['mean'] / 1000:.1f}, p50 {seen['p50'] / 1000:.1f}, "
              f"p99 {seen['p99'] / 1000:.1f}, p99.9 {seen['p999'] / 1000:.1f}, max {seen['max'] / 1000:.1f}; a sleeper of 1 ms is late by "
              f"{seen['late_p999'] / 1000:.1f} at p99.9")
        print(f"  {seen['edits']} edits meanwhile; {seen['changes']:.0f} messages of {seen['bytes']:.0f} bytes; memory: leader "
              f"{seen['leader_mib']:.0f} MiB, worker {seen['worker_mib']:.0f} MiB; {verdict} {'; '.join(reasons)}", flush=True)
    tree = subprocess.run(["git", "rev-parse", "HEAD^{tree}"], capture_output=True, text=True).stdout.strip()
    (FOLDER / "result.json").write_text(json.dumps({"tree": tree, "limits": LIMITS, "runs": results}, indent=1))
    verdict = next((each for each in ("FAIL", "VOID") if each in verdicts), "PASS")
    print(verdict)
    return {"PASS": 0, "FAIL": 1, "VOID": 2}[verdict]


if __name__ == "__main__":
    sys.exit(main())
