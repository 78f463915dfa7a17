"""nginx, HAProxy and Komainu side by side in one run. Prints a table and one PASS or FAIL line; see docs/benchmarks/."""

import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time
import urllib.request

import measure
import servers

LIMITS = {"cpu ratio": 1.10, "syscalls": 5.5, "context switches": 0.3, "allocations": 12.0}
CONTROL_LIMIT = 0.05


def rounds(proxies, rate, count, seconds):
    """Measures every proxy once a round and nginx twice, in an order that turns each round."""
    samples = {name: [] for name in ("nginx", "control", "haproxy", "komainu")}
    order = ["nginx", "haproxy", "komainu", "control"]
    for number in range(count):
        for name in order if number % 2 == 0 else reversed(order):
            server = proxies["nginx" if name == "control" else name]
            samples[name].append(measure.at_rate(server, rate, seconds))
        order = order[1:] + order[:1]
        line = "  ".join(f"{name} {values[-1]['cpu']:.1f}" for name, values in samples.items())
        print(f"round {number + 1}/{count}  CPU µs per request: {line}", flush=True)
    return samples


def summary(samples):
    keys = ("cpu", "user", "system", "switches", "p50", "p99")
    return {name: {key: measure.median([sample[key] for sample in values]) for key in keys}
            for name, values in samples.items()}


def allocations(folder):
    """Allocations per request, read from the program that counts them."""
    server = servers.komainu(folder, "target/bench-proxy/komainu-counting", port=18183)

    def counted():
        text = urllib.request.urlopen(server.metrics).read().decode()
        return int(re.search(r"^komainu_allocations_total (\d+)", text, re.M)[1])

    try:
        measure.saturate(server, 1)
        before = counted()
        requests, *_ = measure.saturate(server, 3)
        return (counted() - before) / requests
    finally:
        server.stop()


def tree_hash():
    return subprocess.run(["git", "rev-parse", "HEAD^{tree}"], capture_output=True, text=True).stdout.strip()


def table(result):
    rows = ["| | CPU µs (user + system) | ratio to the lower peer | syscalls | context switches, saturated "
            "| p50 / p99 µs at the rate | p50 / p99 µs saturated | ceiling req/s | PSS MiB | KiB per idle connection |",
            "|---|---|---|---|---|---|---|---|---|---|"]
    for name in ("nginx", "haproxy", "komainu"):
        m, s = result["at_rate"][name], result["saturated"][name]
        rows.append(
            f"| {name} | {m['cpu']:.1f} ({m['user']:.1f} + {m['system']:.1f}) | {m['cpu'] / result['peer_cpu']:.2f} "
            f"| {s['syscalls']:.2f} | {s['switches']:.2f} | {m['p50']:.0f} / {m['p99']:.0f} "
            f"| {s['p50']:.0f} / {s['p99']:.0f} | {s['rps']:.0f} | {s['pss_mib']:.1f} | {s['idle_kib']:.1f} |")
    return "\n".join(rows)


def saturated(server):
    before = measure.context_switches(server)
    requests, rps, p50, p99 = measure.saturate(server, 3)
    switches = (measure.context_switches(server) - before) / requests
    pss = measure.rss_kib(server) / 1024
    calls, detail = measure.syscalls(server)
    return {"rps": rps, "p50": p50, "p99": p99, "switches": switches, "pss_mib": pss, "syscalls": calls,
            "calls": detail, "idle_kib": measure.idle_connection_kib(server)}


def run(options, folder):
    started = [servers.upstream(folder)]
    try:
        proxies = {"nginx": servers.nginx(folder), "haproxy": servers.haproxy(folder),
                   "komainu": servers.komainu(folder, "target/dist/komainu")}
        started += proxies.values()
        ceilings = {name: measure.saturate(server, 2)[1] for name, server in proxies.items()}
        rate = 0.6 * min(ceilings.values())
        print("ceilings:", {name: round(rps) for name, rps in ceilings.items()}, f"offered rate: {rate:.0f}/s")
        for attempt in range(3):
            at_rate = summary(rounds(proxies, rate, options.rounds, options.seconds))
            control = abs(at_rate["control"]["cpu"] / at_rate["nginx"]["cpu"] - 1)
            if control <= CONTROL_LIMIT:
                break
            print(f"void: nginx against itself is off by {control:.1%}; run {attempt + 1} of 3")
        result = {"tree": tree_hash(), "rate": rate, "at_rate": at_rate, "control": control, "rounds": options.rounds,
                  "saturated": {name: saturated(server) for name, server in proxies.items()}}
        for server in reversed(started[1:]):
            server.stop()
        result["allocations"] = allocations(folder)
        return result
    finally:
        for server in reversed(started):
            server.stop()


def verdict(result):
    cpu = {name: result["at_rate"][name]["cpu"] for name in ("nginx", "haproxy", "komainu")}
    result["peer"] = min(("nginx", "haproxy"), key=cpu.get)
    result["peer_cpu"] = cpu[result["peer"]]
    saturated_komainu = result["saturated"]["komainu"]
    figures = {"cpu ratio": cpu["komainu"] / result["peer_cpu"], "syscalls": saturated_komainu["syscalls"],
               "context switches": saturated_komainu["switches"], "allocations": result["allocations"]}
    if result["control"] > CONTROL_LIMIT:
        result["verdict"] = "VOID"
    else:
        result["verdict"] = "PASS" if all(figures[name] <= limit for name, limit in LIMITS.items()) else "FAIL"
    result["figures"] = figures
    return ", ".join(f"{name} {figures[name]:.2f} (limit {limit:g})" for name, limit in LIMITS.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--keep", action="store_true", help="write docs/benchmarks/proxy.md")
    options = parser.parse_args()
    folder = pathlib.Path("target/bench-proxy/run").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print("load average before:", *os.getloadavg())
    result = run(options, folder)
    result["when"] = time.strftime("%Y-%m-%d")
    line = verdict(result)
    pathlib.Path("target/bench-proxy/result.json").write_text(json.dumps(result, indent=1))
    text = table(result)
    print(text)
    print(f"peer: {result['peer']}; nginx against itself: {result['control']:.1%}; {line}; 0 errors")
    if options.keep:
        kept = f"# Proxy benchmark\n\n{result['when']}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores; "
        kept += f"{options.rounds} rounds at {result['rate']:.0f} requests per second. See [README.md](README.md).\n\n{text}\n\n"
        kept += f"nginx against itself: {result['control']:.1%}. {line}. {result['verdict']}\n"
        pathlib.Path("docs/benchmarks/proxy.md").write_text(kept)
    print(result["verdict"])
    sys.exit(0 if result["verdict"] == "PASS" else 1)


if __name__ == "__main__":
    main()
