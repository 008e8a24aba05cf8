"""Finds holes in the numbers of writers, in bounded memory. Pure."""

from __future__ import annotations

from collections.abc import Iterator


class Gaps:
    """Takes numbers nearly in order and remembers only those that came early."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._early: dict[str, set[int]] = {}
        self._twice: list[str] = []

    @property
    def writers(self) -> int:
        return len(self._next)

    def saw(self, writer: str, number: int) -> None:
        expected = self._next.setdefault(writer, 1)
        if number > expected:
            self._early.setdefault(writer, set()).add(number)
            return
        if number < expected:
            self._twice.append(f"the writer {writer} used the number {number} twice")
            return
        expected += 1
        early = self._early.get(writer)
        while early and expected in early:
            early.remove(expected)
            expected += 1
        self._next[writer] = expected

    def findings(self) -> Iterator[str]:
        """One sentence for each writer with a hole, and for each number used twice."""
        yield from self._twice
        for writer, early in sorted(self._early.items()):
            if early:
                missing = self._next[writer]
                yield (
                    f"the event {missing} of writer {writer} is missing, but {min(early)} is "
                    "there: it was removed before it was sequenced"
                )
