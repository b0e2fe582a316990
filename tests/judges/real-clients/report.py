"""The tally of checks: one line for each, in the order they happen.

A check is a `with` block. Leaving it normally prints `ok NAME`; any exception prints `FAIL NAME: why` and
the run goes on, because one broken client says nothing about the next one.
"""

import contextlib
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from registry import NOT_INSTALLED, NotInstalled


class Failed(Exception):
    """An expectation that did not hold; its text is the reason shown."""


def expect(condition, why):
    if not condition:
        raise Failed(why)


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.uninstalled = 0

    @contextlib.contextmanager
    def check(self, name):
        try:
            yield
        except Exception as error:  # A crash inside a check is a failed check, not the end of the run.
            self._fail(name, error)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)

    @contextlib.contextmanager
    def guard(self, name):
        """Around what is no check itself: silent when it goes well, a failure like any other when it does not."""
        try:
            yield
        except NotInstalled as error:
            self.not_installed(name, error)
        except Exception as error:
            self._fail(name, error)

    def not_run(self, name, why):
        print(f"not run {name}: {why}", flush=True)

    def not_installed(self, name, why):
        """For what a registry did not give: not a failed check, and not a success of the run."""
        self.uninstalled += 1
        self.not_run(name, why)

    def close(self):
        """Prints the closing line and says how the process shall exit.

        A run in which nothing was checked proves nothing, so it does not count as a success.
        """
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        if self.failed == 0 and self.uninstalled:
            return NOT_INSTALLED
        return 0 if self.failed == 0 and self.passed > 0 else 1

    def _fail(self, name, error):
        self.failed += 1
        kind = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
        reason = " / ".join(f"{kind}{error}".splitlines())
        print(f"FAIL {name}: {reason}", flush=True)
