"""A leader that follows an API server, and three workers. Prints one line per figure: name=value unit=UNIT limit=LIMIT ok|short|void,
without limit and verdict where it only tells."""

import argparse
import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parents[2] / "e2e"))
from gateway import WORKERS, Gateway
from processes import Failed

FOLDER = pathlib.Path("target/bench-kubernetes").resolve()
# A sleeper of 1 ms that wakes later than that says that the machine is too busy to say anything about milliseconds.
LATE_LIMIT_MS = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Figures:
    def __init__(self):
        self.all = {}

    def tell(self, name, value, unit=""):
        self.add(name, value, unit, None, "")

    def judge(self, name, value, unit, limit, void=False):
        self.add(name, value, unit, limit, "void" if void else "ok" if value <= limit else "short")

    def add(self, name, value, unit, limit, verdict):
        self.all[name] = {"value": value, "unit": unit, "limit": limit, "verdict": verdict}
        judged = f" limit={limit:g} {verdict}" if verdict else ""
        shown = f"{value:.3f}".rstrip("0").rstrip(".")
        print(f"{name}={shown} unit={unit}{judged}", flush=True)

    def write(self):
        tree = subprocess.run(["git", "rev-parse", "HEAD^{tree}"], capture_output=True, text=True).stdout.strip()
        (FOLDER / "result.json").write_text(json.dumps({"tree": tree, "figures": self.all}, indent=1))

    def verdict(self):
        return next((each for each in ("short", "void") if any(figure["verdict"] == each for figure in self.all.values())), "ok")


def measure_routes(gateway, options, figures):
    """Routes that are created one by one: how long each takes, and how many statuses are written for them."""
    print(f"{options.routes} Routes one by one, then {options.edits} edits …", flush=True)
    seen = gateway.drive("kube-routes", "-workers", ",".join(gateway.addresses), "-target", gateway.target,
                         "-routes", options.routes, "-edits", options.edits)
    above, late = seen["above_watch"], seen["late_p999"] / 1000
    figures.judge("routes_sleeper_of_1_ms_late_p999", late, "ms", LATE_LIMIT_MS, late > LATE_LIMIT_MS)
    for key, limit in (("mean", 12), ("p99", 40)):
        figures.judge(f"routes_above_a_bare_watch_{key}", above[key] / 1000, "ms", limit, late > LATE_LIMIT_MS)
    for key in ("p50", "p999", "max"):
        figures.tell(f"routes_above_a_bare_watch_{key}", above[key] / 1000, "ms")
    figures.tell("routes_from_write_to_served_mean", seen["since_write"]["mean"] / 1000, "ms")
    figures.judge("routes_answers_but_404_before_200_after", seen["wrong"], "", 0)
    figures.tell("routes_created_per_second", seen["routes"] / seen["seconds"], "/s")
    figures.judge("status_writes_per_created_route", seen["created"] / seen["routes"], "", 1.2)
    figures.judge("status_writes_per_edited_route", seen["edited"] / seen["edits"], "", 1.2)
    figures.tell("edits_per_second", seen["edits"] / seen["edit_seconds"], "/s")
    # Its count of Routes is otherwise after each creation, and it is told every 5 s at most.
    figures.tell("status_writes_of_the_backend", seen["backend_writes"])
    writes = seen["created"] + seen["edited"] + seen["backend_writes"]
    # The Backend was created, too.
    figures.judge("status_writes_per_change_of_all_objects", writes / (1 + seen["routes"] + seen["edits"]), "", 1.2)
    events = json.loads(gateway.api_server.kubectl("get", "--raw", "/apis/events.k8s.io/v1/events?limit=1"))
    figures.tell("events_of_all_routes", len(events["items"]) + events["metadata"].get("remainingItemCount", 0))


def measure_scale(gateway, options, figures):
    """Many Services with a Route each, some of which change all the time."""
    print(f"{options.services} Services with two endpoints and a Route each …", flush=True)
    filled = gateway.drive("kube-fill", "-services", options.services, f"-backends={str(options.backends).lower()}")
    figures.tell("fill_time", filled["fill_seconds"], "s")
    figures.tell("fill_until_all_statuses_are_there", filled["settled_seconds"], "s")
    figures.tell("fill_status_writes_per_object", filled["status_writes"] / filled["objects"])
    figures.tell("operator_rss_before_churn", gateway.leader.mib("VmRSS"), "MiB")
    print(f"churn for {options.seconds} s …", flush=True)
    before, began = [process.cpu_seconds() for process in gateway.processes()], time.monotonic()
    churned = gateway.drive("kube-churn", "-services", options.services, "-lasting", f"{options.seconds}s")
    elapsed = time.monotonic() - began
    cores = [(process.cpu_seconds() - used) / elapsed for process, used in zip(gateway.processes(), before)]
    figures.judge("operator_rss", gateway.leader.mib("VmRSS"), "MiB", 250)
    figures.judge("operator_cpu_in_churn", cores[0], "cores", 0.1)
    figures.tell("operator_rss_most", gateway.leader.mib("VmHWM"), "MiB")
    figures.tell("worker_rss", max(worker.mib("VmRSS") for worker in gateway.workers), "MiB")
    figures.tell("worker_cpu_in_churn", sum(cores[1:1 + WORKERS]) / WORKERS, "cores")
    figures.tell("api_server_and_etcd_cpu_in_churn", sum(cores[1 + WORKERS:]), "cores")
    figures.tell("churn_changes_per_second", (churned["slices"] + churned["edits"]) / churned["seconds"], "/s")
    figures.tell("churn_status_writes_per_edit", churned["status_writes"] / churned["edits"])


PARTS = {"routes": measure_routes, "scale": measure_scale}


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="target/dist/komainu", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--load", default="target/bench-proxy/load", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--tools", required=True, help="the folder with etcd, kube-apiserver and kubectl")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--routes", type=int, default=3000)
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--backends", action="store_true", help="a Backend for each Service, not an inline one in its Route")
    return parser.parse_args()


def interrupt(number, _):
    """As an exception, so that everything that was started is stopped on the way out, undisturbed."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main():
    options, figures, failed = parse(), Figures(), False
    for number in SIGNALS:
        signal.signal(number, interrupt)
    for name, measure in PARTS.items():
        if options.only in (None, name):
            try:
                with contextlib.ExitStack() as stack:
                    measure(Gateway(stack, FOLDER / name, options), options, figures)
            except Failed as error:
                failed = True
                print(f"{name}: {error}", file=sys.stderr, flush=True)
    figures.write()
    return 2 if failed else {"ok": 0, "short": 1, "void": 2}[figures.verdict()]


if __name__ == "__main__":
    sys.exit(main())
