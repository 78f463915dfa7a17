"""The cases of the corpus, read from cases/*.toml. Text stands for bytes: a character is the byte of its number."""

import dataclasses
import pathlib
import tomllib

FOLDER = pathlib.Path(__file__).parent / "cases"


@dataclasses.dataclass
class Case:
    name: str
    family: str
    send: bytes
    # Final statuses in order, joined by ", "; "nothing" if there is none.
    expect: str
    why: str = ""
    # Whether the connection is closed; None: doesn't matter.
    closed: bool | None = None
    # What the target answers instead of 200, and whether it closes then.
    answer: bytes | None = None
    close: bool = False
    # What the target has to have seen: request lines, bodies, fields; and what it mustn't.
    lines: list | None = None
    bodies: list | None = None
    seen: tuple = ()
    absent: tuple = ()
    unseen: str = ""

    def failures(self, outcome):
        """Sentences about what isn't as expected."""
        if outcome.statuses != self.expect:
            yield f"answered {outcome.statuses}, expected {self.expect}"
        if self.closed is not None and outcome.closed != self.closed:
            yield f"closed: {outcome.closed}"
        requests = outcome.requests
        if self.answer is None and len(requests) != outcome.passed():
            yield f"{len(requests)} requests reached the target"
        if self.lines is not None and [request.line for request in requests] != self.lines:
            yield f"the target saw {[request.line for request in requests]}"
        if self.bodies is not None and [request.body.decode("latin-1") for request in requests] != self.bodies:
            yield f"the target saw the bodies {[request.body for request in requests]}"
        fields = [field for request in requests for field in request.fields]
        yield from (f"the target didn't see {field}" for field in self.seen if field not in fields)
        names = {field.partition(":")[0] for field in fields}
        yield from (f"the target saw {name}" for name in self.absent if name in names)
        if self.unseen and any(self.unseen in field for field in fields):
            yield f"the target saw {self.unseen}"


def load():
    cases = []
    for file in sorted(FOLDER.glob("*.toml")):
        content = tomllib.loads(file.read_text())
        for entry in content["case"]:
            cases.append(read(file.stem, {**content.get("defaults", {}), **entry}))
    names = [case.name for case in cases]
    assert len(names) == len(set(names)), "two cases have the same name"
    return cases


def read(family, entry):
    # In `send` the mark @ stands for `body`, or for the repeated text.
    repeat = entry.pop("repeat", None)
    body = entry.pop("body", None)
    if body is not None:
        entry["send"] = entry["send"].replace("@", body)
    if repeat:
        for key in ("send", "answer"):
            if key in entry:
                entry[key] = entry[key].replace(repeat["at"], repeat["text"] * repeat["times"])
    for key in ("send", "answer"):
        if key in entry:
            entry[key] = entry[key].encode("latin-1")
    return Case(family=family, **entry)
