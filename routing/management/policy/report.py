"""What a subcommand answers with: words for people, a document for CI, and an exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.management.base import CommandError

OK: Final = 0
FOUND: Final = 1
USAGE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    lines: Sequence[str]
    document: dict[str, Any]
    code: int = OK

    def text(self, *, as_json: bool) -> str:
        if as_json:
            return json.dumps(self.document, indent=2, ensure_ascii=False, default=str)
        return "\n".join(self.lines)


def usage(message: str) -> CommandError:
    """What was asked cannot be done as asked: a wrong file, name or setting."""
    return CommandError(message, returncode=USAGE)
