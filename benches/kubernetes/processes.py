"""What is started, and looked at while it runs."""

import os
import pathlib
import re
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Why there are no figures."""


class Process:
    def __init__(self, name, folder, *command, **environment):
        self.name, self.log = name, folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                # Of its own, so that Ctrl-C reaches it only by stop, in the order in which it is meant to end.
                start_new_session=True, env={**os.environ, **{key: str(value) for key, value in environment.items()}})

    def mib(self, field):
        """VmRSS: in memory now; VmHWM: the most there ever was."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) / 1024

    def cpu_seconds(self):
        """Used so far, by all its threads."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def until(self, what, condition, within=90):
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended; see {self.log}")
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Failed(f"{self.name}: not within {within} s: {what}; see {self.log}")

    def stop(self):
        self.process.kill()
        self.process.wait()
