"""Judges frozen evidence again, with the standard library alone.

python -m routing.verify_evidence evidence.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from routing.engine import gate
from routing.engine.canonical import NotCanonical, digest, encode


def report(text: str, *, expected: str = "") -> tuple[list[str], bool]:
    """The lines to print, and whether the evidence holds."""
    try:
        evidence = json.loads(text)
        problems = gate.verify(evidence)
        canonical = encode(evidence)
        judgement = gate.judge(evidence)
    except (ValueError, KeyError, TypeError, AttributeError, NotCanonical) as problem:
        return [f"This cannot be judged: {problem}"], False
    if canonical != text.strip().encode():
        problems.append("the bytes are not the canonical form of their content")
    found = digest(evidence)
    if expected and expected != found:
        problems.append(f"the digest is {found}, recorded was {expected}")
    lines = [f"{c.verdict:13}{c.title}: {c.sentence}" for c in judgement.checks]
    lines.append(f"{judgement.verdict:13}the whole, {found}")
    return [*lines, *(f"DIFFERS      {problem}" for problem in problems)], not problems


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write(str(__doc__))
        return 2
    lines, holds = report(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
