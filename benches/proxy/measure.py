"""What is read from the kernel and from the generators."""

import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import tempfile
import time

from servers import CLIENT_CORE, LOAD, Missing

TICK = os.sysconf("SC_CLK_TCK")


def tasks(server):
    for pid in server.pids():
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                yield f"/proc/{pid}/task/{task}"
        except FileNotFoundError:
            continue


def cpu_seconds(server):
    """(total, user, system) of the process tree; the total is in nanoseconds of the scheduler, the split in ticks."""
    total = user = system = 0
    for task in tasks(server):
        try:
            total += int(pathlib.Path(task, "schedstat").read_text().split()[0])
            fields = pathlib.Path(task, "stat").read_text().rsplit(")", 1)[1].split()
            user, system = user + int(fields[11]), system + int(fields[12])
        except FileNotFoundError:
            continue
    return total / 1e9, user / TICK, system / TICK


def context_switches(server):
    total = 0
    for task in tasks(server):
        try:
            text = pathlib.Path(task, "status").read_text()
        except FileNotFoundError:
            continue
        total += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))
    return total


def rss_kib(server):
    total = 0
    for pid in server.pids():
        try:
            total += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
        except FileNotFoundError:
            continue
    return total


def saturate(server, seconds, connections=32):
    """Closed loop by wrk: (requests, requests per second, p50 and p99 in microseconds)."""
    command = ["taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", server.url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise Missing(f"errors while saturating {server.name}:\n{text}")
    percentile = {p: microseconds(re.search(rf"^ +{p}% +(\S+)", text, re.M)[1]) for p in ("50", "99")}
    requests = int(re.search(r"(\d+) requests in", text)[1])
    return requests, float(re.search(r"Requests/sec:\s+(\S+)", text)[1]), percentile["50"], percentile["99"]


def microseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def cost(server, generate):
    """CPU of the process tree for each thing that `generate` had done, in microseconds, with what `generate` says of it.
    `generate` gives a dictionary with `count`."""
    before, switches = cpu_seconds(server), context_switches(server)
    seen = generate()
    # What follows the last answer, as closing a connection, belongs to it.
    time.sleep(0.05)
    after, switches = cpu_seconds(server), context_switches(server) - switches
    total, user, system = [(b - a) / seen["count"] * 1e6 for a, b in zip(before, after)]
    return {"cpu": total, "user": user, "system": system, "switches": switches / seen["count"], **seen}


def at_rate(url, rate, seconds, connections=32, arguments=("--h1",)):
    """Open loop by h2load, as a generator for `cost`: latencies at that rate."""
    per_client = max(1, round(rate / connections))
    count = per_client * connections * seconds
    with tempfile.NamedTemporaryFile() as log:
        h2load(url, count, connections, [*arguments, f"--rps={per_client}", f"--log-file={log.name}"])
        lines = [line.split("\t") for line in pathlib.Path(log.name).read_text().splitlines()]
    if len(lines) != count or any(line[1] != "200" for line in lines):
        raise Missing(f"not only 200 through {url}")
    latencies = sorted(int(line[2]) for line in lines)
    return {"count": count, "p50": latencies[len(latencies) // 2], "p99": latencies[len(latencies) * 99 // 100]}


def ceiling(url, count, connections, arguments):
    """Requests per second, closed loop by h2load."""
    return float(re.search(r"finished in \S+, ([\d.]+) req/s", h2load(url, count, connections, arguments))[1])


def h2load(url, count, connections, arguments):
    command = ["taskset", "-c", CLIENT_CORE, "h2load", "-t1", f"-c{connections}", f"-n{count}", *arguments, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # A status can be good, and the rest of the answer not.
    good = min((int(found) for found in re.findall(r"(\d+) (?:2xx|succeeded)", text)), default=0)
    if good != count:
        raise Missing(f"{good} of {count} answers through {url} are good")
    return text


def own_load(*arguments):
    """Our own client: what it reports."""
    command = ["taskset", "-c", CLIENT_CORE, LOAD, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Missing(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


def syscalls(server, seconds=3):
    """System calls per request at saturation, counted by strace (which slows everything down, so only the count is kept)."""
    with tempfile.NamedTemporaryFile("r") as summary:
        command = ["strace", "-c", "-f", "-o", summary.name]
        for pid in server.pids():
            command += ["-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        requests, *_ = saturate(server, seconds)
        tracer.terminate()
        tracer.wait()
        table = summary.read()
    calls = {}
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[0].replace(".", "").isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3]) / requests
    return sum(calls.values()), {name: round(count, 2) for name, count in calls.items() if count >= 0.01}


def idle_connection_kib(server, count=1000):
    """Memory that one idle keep-alive connection holds, in KiB."""
    host, port = re.match(r"http://([^:/]+):(\d+)", server.url).groups()
    request = f"GET /bench HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    before = rss_kib(server)
    connections = []
    for _ in range(count):
        connection = socket.create_connection((host, int(port)))
        connection.sendall(request)
        received = b""
        while received.count(b"x") < 1024:
            received += connection.recv(65536)
        connections.append(connection)
    time.sleep(0.5)
    held = (rss_kib(server) - before) / count
    for connection in connections:
        connection.close()
    return held


def median(values):
    return statistics.median(values)
