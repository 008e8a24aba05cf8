"""The supervisor's child processes: start, watch, restart with back-off, stop in order.

No child outlives the supervisor: each gets a signal from the kernel when the supervisor dies
(Linux), and the guard process ends what is left of its process group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

QUICK_S = 5.0
BACKOFF_S = (0.2, 1.0, 3.0)
LOG_LIMIT_BYTES = 20 * 1024 * 1024
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def say(name: str, words: str) -> None:
    sys.stdout.write(f"  {name:<12} {words}\n")
    sys.stdout.flush()


class ChildFailed(Exception):
    """A child that the product cannot run without ended three times in a row, or never began."""


class StopAsked(Exception):
    """Someone pressed Ctrl-C or sent SIGTERM while we were waiting for something else."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One process: what to run, as whom, and what its end means."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 10.0
    user: str | None = None
    vital: bool = True
    # Ends by itself, and is not started again.
    once: bool = False
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    quick_deaths: int = 0
    restart_at: float | None = None
    gave_up: bool = False

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tail(self, lines: int = 12) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class Family:
    """All children of one supervisor. Used from the main thread only: the kernel's signal is sent
    when the thread that started a child ends."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self.stop_requests = 0
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def listen(self) -> None:
        """Take Ctrl-C and SIGTERM as requests, which waits notice; a second one means: at once."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def start(self, child: Child) -> Child:
        if child not in self.children:
            self.children.append(child)
        self._spawn(child)
        return child

    def run(self, child: Child, *, timeout_s: float = 120.0) -> None:
        """Run a child that ends by itself, and raise if it ends badly."""
        self.start(child)
        assert child.process is not None  # noqa: S101 (start sets it)
        deadline = time.monotonic() + timeout_s
        try:
            while child.process.poll() is None and time.monotonic() < deadline:
                self._check_request()
                time.sleep(0.02)
        finally:
            self._end(child)
            self.children.remove(child)
        if child.process.returncode != 0:
            raise ChildFailed(f"{child.name} failed ({child.log}):\n{child.tail()}")
        say(child.name, f"done in {time.monotonic() - child.started:.1f} s")

    def watch(self) -> None:
        """Notice the dead and restart those whose time has come; called a few times a second."""
        self._check_request()
        now = time.monotonic()
        for child in self.children:
            if child.gave_up or child.alive:
                continue
            if child.once:
                child.gave_up = True
                is_well = child.process is not None and child.process.returncode == 0
                say(child.name, "done" if is_well else f"failed; see {child.log}")
            elif child.restart_at is None:
                self._note_death(child, now)
            elif now >= child.restart_at:
                self._spawn(child)

    def wait_for(self, child: Child, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until a child is ready, restarting it meanwhile if it dies."""
        begin = time.monotonic()
        while not ready():
            self.watch()
            if child.gave_up or time.monotonic() - begin > timeout_s:
                raise ChildFailed(f"{child.name} is not ready ({child.log}):\n{child.tail()}")
            time.sleep(0.05)
        say(child.name, f"ready in {time.monotonic() - begin:.1f} s")

    def stop(self, children: Sequence[Child] | None = None) -> None:
        """Ask these children (all by default) to end, wait for each, then insist."""
        chosen = list(self.children if children is None else children)
        for child in chosen:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(child.stop_signal)
        begin = time.monotonic()
        for child in chosen:
            while child.alive and self.stop_requests <= 1:
                if time.monotonic() - begin > child.stop_s:
                    say(child.name, f"did not stop in {child.stop_s:.0f} s; killed")
                    break
                time.sleep(0.02)
            if child.process is not None:
                self._end(child)
            self.children.remove(child)

    def close(self) -> None:
        self.stop()
        assert self._guard.stdin is not None  # noqa: S101 (made as a pipe)
        self._guard.stdin.close()
        self._guard.wait(15)

    def _on_signal(self, number: int, frame: object) -> None:
        self.stop_requests += 1

    def _check_request(self) -> None:
        if self.stop_requests:
            raise StopAsked

    def _note_death(self, child: Child, now: float) -> None:
        assert child.process is not None  # noqa: S101 (only started children are watched)
        self._end(child)
        lived_s = now - child.started
        child.quick_deaths = child.quick_deaths + 1 if lived_s < QUICK_S else 1
        code = child.process.returncode
        how = f"signal {-code}" if code < 0 else f"code {code}"
        if child.quick_deaths > len(BACKOFF_S):
            child.gave_up = True
            if child.vital:
                raise ChildFailed(
                    f"{child.name} keeps ending ({how}, {child.log}):\n{child.tail()}"
                )
            say(child.name, f"keeps ending ({how}); given up, see {child.log}")
            return
        delay_s = BACKOFF_S[child.quick_deaths - 1]
        child.restart_at = now + delay_s
        say(child.name, f"ended after {lived_s:.0f} s ({how}); restart in {delay_s:g} s")

    def _spawn(self, child: Child) -> None:
        if child.log.exists() and child.log.stat().st_size > LOG_LIMIT_BYTES:
            child.log.replace(child.log.with_suffix(".log.1"))
        with child.log.open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                cwd=child.cwd,
                env=dict(child.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=child.user,
                group=_group_of(child.user),
                extra_groups=None if child.user is None else [],
                # Runs after the change of user, which would otherwise clear the setting.
                preexec_fn=die_with(os.getpid(), child.stop_signal),
            )
        child.started = time.monotonic()
        child.restart_at = None
        self._tell_guard(f"+{child.process.pid} {int(child.stop_signal)}")

    def _end(self, child: Child) -> None:
        """Kill what is left of a child's process group (a worker's pool, say) and reap it."""
        assert child.process is not None  # noqa: S101 (only started children end)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        self._tell_guard(f"-{child.process.pid}")

    def _tell_guard(self, line: str) -> None:
        assert self._guard.stdin is not None  # noqa: S101 (made as a pipe)
        try:
            self._guard.stdin.write(line.encode() + b"\n")
            self._guard.stdin.flush()
        except BrokenPipeError:
            say("guard", "is gone; children still end with the supervisor on Linux")


def _group_of(user: str | None) -> int | None:
    import pwd

    return None if user is None else pwd.getpwnam(user).pw_gid


def die_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    """What a new process does first: ask the kernel for a signal when its parent dies."""

    def in_child() -> None:
        # A blocked or ignored signal would be inherited and then never arrive.
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
            if os.getppid() != parent:  # it died before the setting took hold
                os._exit(1)

    return in_child
