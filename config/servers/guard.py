"""Ends the supervisor's children when the supervisor dies without a chance to do it (SIGKILL).

Reads ``+PID SIGNAL`` and ``-PID`` lines from standard input. The end of that pipe means that the
supervisor is gone: every process group still listed gets its signal, then SIGKILL. Standard
library only and run by path, so that it costs next to nothing.
"""

import os
import signal
import sys
import time

GRACE_S = 8.0


def _listed() -> dict[int, int]:
    groups: dict[int, int] = {}
    for line in sys.stdin:
        words = line.split()
        if line.startswith("+"):
            groups[int(words[0][1:])] = int(words[1])
        elif line.startswith("-"):
            groups.pop(int(words[0][1:]), None)
    return groups


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups = _listed()
    for group, number in groups.items():
        try:
            os.kill(group, number)
        except ProcessLookupError:
            continue  # the leader is gone, its group may not be
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline:
        if not any(_signal_group(group, 0) for group in groups):
            return
        time.sleep(0.1)
    for group in groups:
        _signal_group(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
