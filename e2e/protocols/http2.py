"""Runs h2spec against Komainu, in clear text and over TLS, and holds what fails to the list of exceptions."""

import pathlib
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree

import proxies

EXCEPTIONS = pathlib.Path(__file__).parent / "h2spec.toml"
PAGE = pathlib.Path("docs/http2.md")
# All that h2spec 2.2.1 has, the strict one included.
COUNT = 146


def main():
    program, h2spec = sys.argv[1:]
    exceptions, page = tomllib.loads(EXCEPTIONS.read_text()), PAGE.read_text()
    failed = [judge(name, run(program, h2spec, encrypted), exceptions.get(kind, {}), page)
              for name, kind, encrypted in [("h2spec", "clear", False), ("h2spec over TLS", "tls", True)]]
    return any(failed)


def run(program, h2spec, encrypted):
    """What came of each test."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        peer = proxies.komainu(folder, program, proxies.certificate(folder) if encrypted else None)
        # Long enough for the tests of flow control.
        peer.target.prepare(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, False)
        report = folder / "report.xml"
        command = [h2spec, "--strict", "-p", peer.port, "-j", report, *(["-t", "-k"] if encrypted else [])]
        output = subprocess.run(list(map(str, command)), capture_output=True, text=True).stdout
        if not report.exists():
            print(output)
            return {}
        return dict(read(report))


def judge(name, results, exceptions, page):
    """Prints what isn't as it should be, and the line that sums up. Answers whether something was wrong."""
    problems = []
    if len(results) != COUNT:
        problems.append(f"{len(results)} tests ran, not {COUNT}")
    for test, failure in results.items():
        if failure and test not in exceptions:
            problems.append(f"{test}: {failure}")
        if not failure and test in exceptions:
            problems.append(f"{test} passes: it is no exception any more")
    for test in exceptions:
        if test not in results:
            problems.append(f"there is no test {test}")
        if test not in page:
            problems.append(f"{PAGE} doesn't name the exception {test}")
    for problem in problems:
        print(f"{name}: {problem}")
    failed = sum(1 for failure in results.values() if failure)
    print(f"{name}: {len(results) - failed} of {len(results)} passed, {len(exceptions)} exceptions")
    return bool(problems)


def read(report):
    """Each test as its section and its place there, with what went wrong, if anything did."""
    for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
        for number, test in enumerate(suite.iter("testcase"), 1):
            failure = test.find("failure")
            failure = test.find("error") if failure is None else failure
            skipped = test.find("skipped") is not None
            text = "skipped" if skipped else None if failure is None else " ".join((failure.text or "").split())
            yield f"{test.get('package')}/{number}", text


if __name__ == "__main__":
    sys.exit(main())
