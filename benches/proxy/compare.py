"""nginx, HAProxy, Envoy and Komainu side by side in one run. Prints tables and one PASS, FAIL or VOID; see docs/benchmarks/."""

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

import komainu
import measure
import peers
import rows
import servers
from servers import Missing

LIMITS = {"cpu ratio": 1.05, "syscalls": 5.5, "context switches": 0.3, "allocations": 12.0}
CONTROL_LIMIT = 0.05


def rounds(proxies, rates, count, seconds):
    """Measures every proxy once a round and nginx twice, in an order that turns each round."""
    order = [*proxies, "control"]
    samples = {name: [] for name in order}
    for number in range(count):
        for name in order if number % 2 == 0 else reversed(order):
            server = proxies["nginx" if name == "control" else name]
            rate = rates[server.name]
            samples[name].append(measure.cost(server, lambda: measure.at_rate(server.url, rate, seconds)))
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
    server = komainu.plain(folder, "target/bench-proxy/komainu-counting", port=18183)

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
    lines = ["| GET 1 KiB | CPU µs (user + system) | ratio to the lower of nginx and HAProxy | syscalls | context switches, saturated "
             "| p50 / p99 µs at the rate | p50 / p99 µs saturated | ceiling req/s | PSS MiB | KiB per idle connection |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for name, s in result["saturated"].items():
        m = result["at_rate"][name]
        lines.append(
            f"| {name} | {m['cpu']:.1f} ({m['user']:.1f} + {m['system']:.1f}) | {m['cpu'] / result['peer_cpu']:.2f} "
            f"| {s['syscalls']:.2f} | {s['switches']:.2f} | {m['p50']:.0f} / {m['p99']:.0f} "
            f"| {s['p50']:.0f} / {s['p99']:.0f} | {s['rps']:.0f} | {s['pss_mib']:.1f} | {s['idle_kib']:.1f} |")
    return "\n".join(lines)


def saturated(server):
    before = measure.context_switches(server)
    requests, rps, p50, p99 = measure.saturate(server, 3)
    switches = (measure.context_switches(server) - before) / requests
    pss = measure.rss_kib(server) / 1024
    calls, detail = measure.syscalls(server)
    return {"rps": rps, "p50": p50, "p99": p99, "switches": switches, "pss_mib": pss, "syscalls": calls,
            "calls": detail, "idle_kib": measure.idle_connection_kib(server)}


def get_row(options, proxies):
    """The row that decides first: GET 1 KiB in clear text."""
    ceilings = {name: measure.saturate(server, 2)[1] for name, server in proxies.items()}
    rate = 0.6 * min(rps for name, rps in ceilings.items() if name != "envoy")
    # Envoy is far behind; its own rate keeps it from being measured in overload, and the others at a rate that counts.
    rates = {name: min(rate, 0.6 * rps) for name, rps in ceilings.items()}
    print("ceilings:", {name: round(rps) for name, rps in ceilings.items()}, f"offered rate: {rate:.0f}/s")
    for attempt in range(options.attempts):
        at_rate = summary(rounds(proxies, rates, options.rounds, options.seconds))
        control = abs(at_rate["control"]["cpu"] / at_rate["nginx"]["cpu"] - 1)
        if control <= CONTROL_LIMIT:
            break
        print(f"void: nginx against itself is off by {control:.1%}; run {attempt + 1} of {options.attempts}")
    return {"rate": rate, "rates": rates, "at_rate": at_rate, "control": control, "rounds": options.rounds}


def other_rows(options, folder, proxies, own_with_tls):
    results, verdicts = {}, {}
    free, gated = rows.all_rows(folder)
    for row in free + gated:
        these = {**proxies, "komainu": own_with_tls if row.uses_tls else proxies["komainu"]}
        for _ in range(options.attempts):
            result = rows.run(row, these, options.rounds if row in gated else options.other_rounds, control=row in gated)
            if row not in gated:
                break
            verdicts[row.name] = rows.judge(result)
            if "control" not in result["cpu"] or verdicts[row.name][0] != "void":
                break
        results[row.name] = result
    return results, verdicts


def started(name, start, *arguments):
    """A server, or the reason why there is none."""
    try:
        return start(*arguments)
    except Missing as reason:
        print(f"{name} is void: {reason}", flush=True)
        return reason


def run(options, folder):
    certificate = servers.certificate(folder)
    all_servers = [servers.upstream(folder), servers.own_upstream(folder)]
    try:
        proxies = {"nginx": peers.nginx(folder, certificate), "haproxy": peers.haproxy(folder, certificate)}
        all_servers += proxies.values()
        proxies["envoy"] = started("envoy", peers.envoy, folder, certificate)
        proxies["komainu"] = komainu.plain(folder, options.program)
        own_with_tls = started("komainu with TLS", komainu.with_tls, folder, options.program, certificate)
        all_servers += [proxies["envoy"], proxies["komainu"], own_with_tls]
        running = {name: server for name, server in proxies.items() if not isinstance(server, Missing)}
        result = {"tree": tree_hash(), **get_row(options, running)}
        result["saturated"] = {name: saturated(server) for name, server in running.items()}
        result["rows"], result["verdicts"] = other_rows(options, folder, proxies, own_with_tls)
        for server in (proxies["komainu"], own_with_tls):
            if not isinstance(server, Missing):
                server.stop()
        result["allocations"] = allocations(folder)
        return result
    finally:
        for server in reversed(all_servers):
            if not isinstance(server, Missing):
                server.stop()


def verdict(result):
    cpu = {name: result["at_rate"][name]["cpu"] for name in ("nginx", "haproxy", "komainu")}
    result["peer"] = min(("nginx", "haproxy"), key=cpu.get)
    result["peer_cpu"] = cpu[result["peer"]]
    saturated_komainu = result["saturated"]["komainu"]
    figures = {"cpu ratio": cpu["komainu"] / result["peer_cpu"], "syscalls": saturated_komainu["syscalls"],
               "context switches": saturated_komainu["switches"], "allocations": result["allocations"]}
    lines = [f"{name} {figures[name]:.2f} (limit {limit:g})" for name, limit in LIMITS.items()]
    is_short = any(figures[name] > limit for name, limit in LIMITS.items())
    get = "void" if result["control"] > CONTROL_LIMIT else "short" if is_short else "ok"
    for name, (word, ratio, reason) in result["verdicts"].items():
        lines.append(f"{name} {word if ratio is None else f'{ratio:.2f}'} (limit {rows.HANDSHAKE_LIMIT:g}; {reason})")
    words = [get, *(word for word, _, _ in result["verdicts"].values())]
    result["get"], result["figures"] = get, figures
    result["verdict"] = "FAIL" if "short" in words else "VOID" if "void" in words else "PASS"
    return ", ".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="of the rows that have a limit")
    parser.add_argument("--other-rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement of the plain GET")
    parser.add_argument("--attempts", type=int, default=2, help="at most, while nginx differs from itself")
    parser.add_argument("--program", default="target/dist/komainu")
    parser.add_argument("--keep", action="store_true", help="write docs/benchmarks/proxy.md")
    options = parser.parse_args()
    begun = time.monotonic()
    folder = pathlib.Path("target/bench-proxy/run").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print("load average before:", *os.getloadavg())
    try:
        result = run(options, folder)
    except Missing as reason:
        raise SystemExit(f"no verdict: {reason}")
    result["when"] = time.strftime("%Y-%m-%d")
    line = verdict(result)
    pathlib.Path("target/bench-proxy/result.json").write_text(json.dumps(result, indent=1))
    text = f"{table(result)}\n\n{rows.table(result['rows'])}"
    print(text)
    line = f"peer: {result['peer']}; nginx against itself: {result['control']:.1%}; {line}; 0 errors"
    print(line)
    if options.keep:
        kept = f"# Proxy benchmark\n\n{result['when']}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores; "
        kept += f"{options.rounds} rounds at {result['rate']:.0f} requests per second. See [README.md](README.md).\n\n{text}\n\n"
        kept += f"{line}. {result['verdict']}\n"
        pathlib.Path("docs/benchmarks/proxy.md").write_text(kept)
    print(f"{result['verdict']} after {time.monotonic() - begun:.0f} s")
    sys.exit(0 if result["verdict"] == "PASS" else 1)


if __name__ == "__main__":
    main()
