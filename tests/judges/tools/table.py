"""What the three runs of a tool say about it, and docs/tools.md, in which all of that is kept."""

import dataclasses
import re

INTRODUCTION = """# Tools

What tools and libraries do under `larder run`, without any option of their own. `tests/judges/tools/run --all` makes this
table; with `--write` it writes it, otherwise it compares, and fails on a difference.

Each fetches something from an origin with TLS under a name, three times with nothing kept but what Larder has: directly,
by `larder run` with an empty cache, and by `larder run` again. The numbers are the requests that the origin saw.

| State | Meaning |
|---|---|
| cached | the second time the origin was not asked |
| validated | the second time it was asked less, or only whether what is stored is still good |
| forwarded | works, and the origin is asked as often the second time; the last column says why |
| bypassing | the tool goes around the proxy |
| unsupported | fails under `larder run`, and works without |

Bypassing tools that can be told of a proxy by an option or a file of their own are no fault of Larder's; what is listed is
what the variables of `larder run` do for them.

"""
HEAD = "| Tool | State | Direct | First | Second | Why |\n|---|---|---|---|---|---|\n"
ROW = re.compile(r"\| (?P<tool>[^|]+) \| (?P<state>[a-z]+) \| (?P<direct>[0-9–]+) \| (?P<first>[0-9–]+) \| (?P<second>[0-9–]+) \|(?P<why>[^|]*)\|")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run: whether it got what it wanted, what the origin saw, and clients that broke off TLS with the origin."""

    ok: bool
    asked: tuple
    refused: int
    said: str = ""

    @property
    def went_around(self):
        # Larder names itself in each request that it forwards.
        return self.refused > 0 or any("larder" not in one.via for one in self.asked)


@dataclasses.dataclass(frozen=True)
class Row:
    tool: str
    state: str
    direct: str
    first: str
    second: str
    why: str = ""

    def __str__(self):
        return f"| {self.tool} | {self.state} | {self.direct} | {self.first} | {self.second} | {self.why} |\n"

    def differs_from(self, other, varies):
        if varies:
            return self.state != other.state
        return (self.state, self.direct, self.first, self.second) != (other.state, other.direct, other.first, other.second)


def row_of(tool, direct, first, second):
    """`direct` is None where it could not be run so."""
    count = lambda run: str(len(run.asked)) if run else "–"
    return Row(tool.name, state_of(direct, first, second), count(direct), count(first), count(second), tool.why)


def state_of(direct, first, second):
    if first.went_around or second.went_around:
        return "bypassing"
    if not (first.ok and second.ok):
        return "unsupported"
    if not second.asked:
        return "cached"
    is_validation = lambda one: one.status == 304 or bool(one.condition)
    if len(second.asked) < len(first.asked) or all(map(is_validation, second.asked)):
        return "validated"
    return "forwarded"


def render(rows):
    order = ["cached", "validated", "forwarded", "bypassing", "unsupported"]
    return INTRODUCTION + HEAD + "".join(str(row) for row in sorted(rows, key=lambda row: order.index(row.state)))


def parse(text):
    found = (ROW.fullmatch(line) for line in text.splitlines())
    rows = [Row(**{name: value.strip() for name, value in match.groupdict().items()}) for match in found if match]
    return {row.tool: row for row in rows}
