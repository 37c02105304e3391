"""What the clients' checks share: a runner that tries each and says which failed, and waiting for what must come true."""

import sys
import time
import traceback

CHECKS = []


def check(function):
    """Marks a function as a check; its docstring or name says what must hold."""
    CHECKS.append(function)
    return function


def eventually(what, condition, seconds=120):
    """Waits until the condition gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
    raise AssertionError(f"{what}: not within {seconds} s")


def run(client):
    """Runs all checks of a client; the exit code is how many failed."""
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"  ok      {client}: {name}", flush=True)
        except Exception:
            failed += 1
            print(f"  FAILED  {client}: {name}", flush=True)
            traceback.print_exc()
    sys.exit(min(failed, 99))
