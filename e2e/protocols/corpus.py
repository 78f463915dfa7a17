"""Runs the corpus and holds docs/protocols.md to what was seen."""

import concurrent.futures
import os
import pathlib
import sys
import tempfile

import case
import exchange
import proxies

PAGE = pathlib.Path("docs/protocols.md")


def main():
    cases = case.load()
    with tempfile.TemporaryDirectory() as folder:
        peers = proxies.start(folder, sys.argv[1])
        # Each proxy has a target of its own, so they can be asked side by side.
        with concurrent.futures.ThreadPoolExecutor(len(peers)) as pool:
            outcomes = dict(zip((peer.name for peer in peers), pool.map(lambda peer: ask(peer, cases), peers)))
    failures = 0
    for number, one in enumerate(cases):
        own = outcomes["Komainu"][number]
        problems = list(one.failures(own))
        if differs(number, outcomes) and not one.why:
            others = ", ".join(f"{name}: {outcome[number].summary()}" for name, outcome in outcomes.items())
            problems.append(f"a difference without a reason: {others}")
        for problem in problems:
            print(f"{one.name}: {problem}")
        failures += bool(problems)
    failures += hold_page(page(cases, peers, outcomes))
    print(f"corpus: {len(cases) - failures} passed, {failures} failed")
    return failures > 0


def ask(peer, cases):
    return [exchange.run(one, peer.port, peer.target) for one in cases]


def differs(number, outcomes):
    """By what the client and the target saw of it."""
    seen = {cell(outcome[number]) for outcome in outcomes.values()}
    return len(seen) > 1


def page(cases, peers, outcomes):
    different = [(number, one) for number, one in enumerate(cases) if differs(number, outcomes)]
    text = f"""# Protocol corpus

`make test-protocols` sends {len(cases)} named requests and answers, valid and broken, through Komainu, nginx {peers[1].version} and HAProxy {peers[2].version}, each
with its defaults and a target of its own that counts what reaches it. The cases and what Komainu has to do with each are in
`e2e/protocols/cases`. In {len(cases) - len(different)} cases all three do the same; here are the other {len(different)}, each with the reason for what
Komainu does. A cell holds the final statuses in order, and how many requests reached the target if that isn't what the
statuses say. This page is written by `UPDATE=1 make test-protocols`.
"""
    family = None
    for number, one in different:
        if one.family != family:
            family = one.family
            text += f"\n## {family}\n\n| case | Komainu | nginx | HAProxy | why |\n|---|---|---|---|---|\n"
        cells = " | ".join(cell(outcome[number]) for outcome in outcomes.values())
        text += f"| {one.name} | {cells} | {one.why.replace('|', '&#124;')} |\n"
    return text


def cell(outcome):
    # A bad answer may be asked for again, on another connection.
    count = 0 if outcome.is_prepared else len(outcome.requests)
    return outcome.statuses + (f" ({count} through)" if count not in (0, outcome.passed()) else "")


def hold_page(text):
    if os.environ.get("UPDATE") == "1":
        PAGE.write_text(text)
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    print(f"{PAGE} isn't what was seen: look at the difference after UPDATE=1 make test-protocols")
    return 1


if __name__ == "__main__":
    sys.exit(main())
