"""Runs the checks of one client in an environment of its own; the standard library only.

A check is a function whose name says what must hold. Prints one line each, and how many failed.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable

URL = os.environ["SIGNALBOX_URL"]
KEY = os.environ["SIGNALBOX_KEY"]
ROUTE = os.environ["SIGNALBOX_ROUTE"]
# Never matched by a rule of the demo policy for narrow work: it goes to the larger backend.
HARD = (
    "Prove step by step that the sum of two odd integers is even, and then discuss, with three "
    "examples, why the argument fails for real numbers that are not integers. Compare both cases."
)
EASY = "What are your opening hours?"


def run(checks: Iterable[Callable[[], None]]) -> None:
    failed = 0
    for check in checks:
        try:
            check()
        except Exception:
            failed += 1
            sys.stdout.write(f"FAILED {check.__name__}\n")
            traceback.print_exc(file=sys.stdout)
        else:
            sys.stdout.write(f"ok {check.__name__}\n")
    sys.exit(1 if failed else 0)


def raised(kind: type[BaseException], call: Callable[[], object]) -> BaseException:
    """Return the exception of ``kind`` that ``call`` raises; anything else fails the check."""
    try:
        answer = call()
    except kind as problem:
        return problem
    raise AssertionError(f"expected {kind.__name__}, got {answer!r}")
