"""The rows beside that of the plain GET: TLS, HTTP/2, gRPC, WebSocket and handshakes, each for all servers that can do it."""

import measure
from servers import Missing

# Of one handshake with its request, against the best of the other three.
HANDSHAKE_LIMIT = 1.05
CONTROL_LIMIT = 0.05
HTTP2 = (16, ["-m8"])


class Row:
    """What is measured of a server: `probe` says whether it can be, and how fast at most if there is a rate; `sample` measures."""

    def __init__(self, name, probe, sample, uses_tls=False):
        self.name, self.probe, self.sample, self.uses_tls = name, probe, sample, uses_tls


def requests(name, url, connections, arguments, uses_tls=False):
    """Requests at half the rate that the slowest can do."""
    def probe(server):
        measure.h2load(url(server), connections, connections, arguments)
        return measure.ceiling(url(server), 8000, connections, arguments)

    def sample(server, rate):
        return measure.cost(server, lambda: measure.at_rate(url(server), rate, 2, connections, arguments))

    return Row(name, probe, sample, uses_tls)


def grpc(folder):
    body = folder / "call"
    body.write_bytes(b"\0\0\0\0\x20" + b"q" * 32)
    arguments = [*HTTP2[1], "-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    return requests("gRPC unary", lambda server: server.clear_http2_url.replace("/bench", "/grpc/Bench/Call"), HTTP2[0], arguments)


def websocket():
    def run(server, each):
        address = f"127.0.0.1:{server.port}"
        seen = measure.own_load("messages", "-address", address, "-connections", 32, "-interval", "4ms", "-each", each)
        return {**seen, "count": seen["messages"]}

    def probe(server):
        run(server, 1)
        return 0

    def sample(server, _):
        return measure.cost(server, lambda: run(server, 500))

    return Row("WebSocket echo", probe, sample)


def handshakes(name, resume):
    """One GET each, so that the server has to finish what the client does."""
    def run(server, count):
        arguments = ["-address", f"127.0.0.1:{server.tls_port}", "-count", count, *(["-resume"] if resume else [])]
        seen = measure.own_load("handshakes", *arguments)
        return {**seen, "count": seen["connections"]}

    def probe(server):
        run(server, 10)
        return 0

    def sample(server, _):
        return measure.cost(server, lambda: run(server, 2000))

    return Row(name, probe, sample, uses_tls=True)


def all_rows(folder):
    rows = [
        requests("TLS GET", lambda server: server.tls_url, 32, ["--h1"], uses_tls=True),
        requests("HTTP/2 GET, clear text", lambda server: server.clear_http2_url, *HTTP2),
        requests("HTTP/2 GET, TLS", lambda server: server.tls_url, *HTTP2, uses_tls=True),
        grpc(folder),
        websocket(),
    ]
    gated = [handshakes("TLS 1.3 handshake, full", False), handshakes("TLS 1.3 handshake, resumed", True)]
    return rows, gated


def run(row, servers, rounds, control=False):
    """Rounds over all servers that can do it, in an order that turns each round; the reason for each that can't."""
    missing, speeds = {}, {}

    def attempt(name, call):
        try:
            server = servers["nginx" if name == "control" else name]
            if isinstance(server, Missing):
                raise server
            return call(server)
        except Missing as reason:
            missing[name] = str(reason)
            print(f"{row.name}: {name} is void: {reason}", flush=True)

    for name in servers:
        speeds[name] = attempt(name, row.probe)
    order = [name for name in servers if name not in missing]
    order += ["control"] if control and "nginx" in order else []
    rate = 0.5 * min((speeds[name] for name in order if name != "control"), default=0)
    samples = {name: [] for name in order}
    for number in range(rounds):
        for name in order if number % 2 == 0 else reversed(order):
            if name not in missing:
                samples[name].append(attempt(name, lambda server: row.sample(server, rate)))
        order = order[1:] + order[:1]
    result = {key: medians(samples, missing, key) for key in ("cpu", "user", "p50", "p99")}
    print(f"{row.name}: CPU µs each:", {name: round(value, 1) for name, value in result["cpu"].items()}, flush=True)
    return {**result, "missing": missing, "rate": rate}


def medians(samples, missing, key):
    return {name: measure.median([sample[key] for sample in values])
            for name, values in samples.items() if name not in missing and key in values[0]}


def judge(result, limit=HANDSHAKE_LIMIT):
    """(verdict, ratio or nothing, reason) of a row with a limit."""
    cpu = result["cpu"]
    if "komainu" not in cpu:
        return "void", None, result["missing"].get("komainu", "")
    peers = {name: cpu[name] for name in ("nginx", "haproxy", "envoy") if name in cpu}
    if not peers or "control" not in cpu:
        return "void", None, "nginx is missing"
    ratio = cpu["komainu"] / min(peers.values())
    off = abs(cpu["control"] / cpu["nginx"] - 1)
    if off > CONTROL_LIMIT:
        return "void", ratio, f"nginx against itself is off by {off:.1%}"
    return ("ok" if ratio <= limit else "short"), ratio, min(peers, key=peers.get)


def table(results):
    names = ("nginx", "haproxy", "envoy", "komainu")
    lines = ["| CPU µs each (p50 / p99 µs) | " + " | ".join(names) + " | komainu to the best |", "|---|" + "---|" * 5]
    for title, result in results.items():
        cells = []
        for name in names:
            if name in result["cpu"]:
                latency = f" ({result['p50'][name]:.0f} / {result['p99'][name]:.0f})" if name in result["p50"] else ""
                cells.append(f"{result['cpu'][name]:.1f}{latency}")
            else:
                cells.append("void")
        peers = [result["cpu"][name] for name in names[:3] if name in result["cpu"]]
        own = result["cpu"].get("komainu")
        cells.append(f"{own / min(peers):.2f}" if own and peers else "void")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
