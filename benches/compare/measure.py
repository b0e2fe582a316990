"""Start everybody, prove that each does the work, then measure in interleaved rounds."""

import contextlib
import http.client
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import contestants
from machine import Failure
from packages import program

CONNECTIONS = 64
WARM_UP_SECONDS = 1
# A response may have to be asked for more than once before it is stored, as some caches are still opening their store;
# and a cache that locks the URL goes on asking the origin for clients that left with the sample before.
SETTLED_SECONDS_MAX = 10
# Verification and the load generator's own start and end; only used to bound a run that hangs.
SECONDS_AROUND_SAMPLE_MAX = 30

LOAD = Path(__file__).parent / "load.lua"


@dataclass
class Scenario:
    name: str
    path: str
    body_bytes: int
    distinct: bool = False

    @property
    def is_hit(self):
        return self.path.startswith("/hit/")


SCENARIOS = {
    scenario.name: scenario for scenario in (
        Scenario("hit-1k", "/hit/1024", 1024),
        Scenario("hit-100k", "/hit/102400", 102400),
        # 64 is what the origin gives for any other path.
        Scenario("pass-distinct", "/pass/distinct/", 64, distinct=True),
        Scenario("pass-same", "/pass/same", 64),
    )
}


@dataclass
class Sample:
    requests: int
    requests_per_s: float
    cpu_us: float
    user_us: float
    p50_ms: float
    p99_ms: float
    origin_requests: int


@dataclass
class Row:
    scenario: str
    contestant: str
    samples: list = field(default_factory=list)
    invalid: str = ""

    def median(self, figure):
        return statistics.median(getattr(sample, figure) for sample in self.samples)

    def span(self, figure):
        values = [getattr(sample, figure) for sample in self.samples]
        return min(values), max(values)


def groups(names):
    """The chosen scenarios, those together that are compared with each other."""
    chosen = [SCENARIOS[name] for name in names]
    alone = [[scenario] for scenario in chosen if scenario.is_hit]
    together = [scenario for scenario in chosen if not scenario.is_hit]
    return alone + ([together] if together else [])


def group(machine, scenarios, names, programs, arguments):
    """Returns one row per scenario and contestant."""
    rows = [Row(scenario.name, contestant) for scenario in scenarios for contestant in names]
    # Everybody starts afresh per scenario: no row inherits the memory of another.
    with contextlib.ExitStack() as stack:
        contests = [contest(stack, machine, row, programs, arguments) for row in rows]
        for number in range(arguments.rounds):
            say(f"{', '.join(scenario.name for scenario in scenarios)}: round {number + 1} of {arguments.rounds}")
            # The order rotates, so that nobody always follows the same neighbour.
            first = number % len(names)
            for contestant in names[first:] + names[:first]:
                for row, running in zip(rows, contests):
                    if row.contestant == contestant and not row.invalid:
                        with invalid_if_it_fails(row):
                            row.samples.append(running.sample(arguments.seconds))
    return rows


def contest(stack, machine, row, programs, arguments):
    """Starts a row's origin and server; the stack ends them. `None` when the row has become invalid."""
    scenario = SCENARIOS[row.scenario]
    with invalid_if_it_fails(row):
        origin = stack.enter_context(contestants.origin(machine, programs))
        origin.wait_until_it_listens()
        server = stack.enter_context(contestants.start(row.contestant, machine, scenario, origin.port, programs))
        server.wait_until_it_listens()
        running = Contest(machine, scenario, row.contestant, server, origin)
        if not arguments.quick:
            running.sample(WARM_UP_SECONDS)
        return running
    return None


@contextlib.contextmanager
def invalid_if_it_fails(row):
    try:
        yield
    except Failure as failure:
        row.invalid = str(failure)
        say(f"{row.scenario}: {row.contestant} is INVALID: {failure}")


class Contest:
    """One contestant in one scenario, with an origin of its own, so that nobody's leftovers count as another's."""

    def __init__(self, machine, scenario, contestant, server, origin):
        self.machine, self.scenario, self.server, self.origin = machine, scenario, server, origin
        self.authority = f"127.0.0.1:{origin.port}"
        is_forward = contestant in contestants.FORWARD
        self.target = f"http://{self.authority}{scenario.path}" if is_forward else scenario.path

    def sample(self, seconds):
        self.verify()
        asked_before, cpu_before = self.asked(), self.server.cpu_seconds()
        load = self.load(seconds)
        cpu_after, asked_after = self.server.cpu_seconds(), self.asked()
        self.server.must_live()
        user, system = (after - before for before, after in zip(cpu_before, cpu_after))
        sample = Sample(
            requests=load["requests"],
            requests_per_s=load["requests"] * 1e6 / load["duration_us"],
            cpu_us=(user + system) * 1e6 / max(load["requests"], 1),
            user_us=user * 1e6 / max(load["requests"], 1),
            p50_ms=load["p50_us"] / 1000,
            p99_ms=load["p99_us"] / 1000,
            origin_requests=asked_after - asked_before,
        )
        self.judge(load, sample)
        return sample

    def verify(self):
        """A single GET gives the right response, from the cache or from the origin as the scenario says."""
        expected = 0 if self.scenario.is_hit else 1
        deadline = time.monotonic() + SETTLED_SECONDS_MAX
        while True:
            before = self.asked()
            self.get_expected()
            asked = self.asked() - before
            if asked == expected:
                return
            if time.monotonic() > deadline:
                raise Failure(f"one GET asks the origin {asked} times, not {expected}")
            time.sleep(0.1)

    def get_expected(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=SETTLED_SECONDS_MAX)
        # Only what the load generator sends too, so that both find the same stored response.
        connection.putrequest("GET", self.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", self.authority)
        try:
            connection.endheaders()
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"a GET failed: {error!r}") from error
        finally:
            connection.close()
        if response.status != 200 or body != b"x" * self.scenario.body_bytes:
            raise Failure(f"a GET gave {response.status} with {len(body)} bytes")

    def asked(self):
        """How many requests the origin has counted, without this question."""
        connection = http.client.HTTPConnection("127.0.0.1", self.origin.port, timeout=SETTLED_SECONDS_MAX)
        connection.request("GET", "/count")
        count = int(connection.getresponse().read())
        connection.close()
        return count

    def load(self, seconds):
        target = self.target
        if self.scenario.distinct:
            # A stamp, so that no later sample comes back to the URLs of an earlier one.
            target += f"{time.monotonic_ns()}-"
        # The generator's own limit per response is far above its default, because a lock on the URL is a result too.
        command = ["taskset", "-c", str(self.machine.load_core), program("wrk"), "--threads", "1",
                   "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--timeout", "30s",
                   "--script", str(LOAD), f"http://127.0.0.1:{self.server.port}/", "--",
                   self.authority, target, "distinct" if self.scenario.distinct else "same"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True,
                                    timeout=seconds + SECONDS_AROUND_SAMPLE_MAX)
        except subprocess.TimeoutExpired as error:
            raise Failure("the load generator did not come to an end") from error
        result = re.search(r"^RESULT (.*)$", answer.stdout, re.MULTILINE)
        if not result:
            raise Failure(f"the load generator gave no result: {answer.stderr.strip() or answer.stdout.strip()}")
        return {key: int(value) for key, value in (pair.split("=") for pair in result[1].split())}

    def judge(self, load, sample):
        if load["requests"] == 0:
            raise Failure("no request was answered")
        if load["failed"] or load["timeouts"]:
            raise Failure(f"{load['failed']} requests failed and {load['timeouts']} timed out")
        if load["bytes"] < load["requests"] * self.scenario.body_bytes:
            raise Failure("the responses were shorter than their bodies should be")
        if self.scenario.is_hit and sample.origin_requests:
            raise Failure(f"{sample.origin_requests} of {sample.requests} hits reached the origin")
        if not self.scenario.is_hit and sample.origin_requests < sample.requests:
            raise Failure(f"only {sample.origin_requests} of {sample.requests} requests reached the origin")


def say(text):
    print(text, file=sys.stderr, flush=True)
