"""JSON logs: one line per record, control characters escaped, secrets masked, whose request it was.

A secret is masked by its form, and by its value where the process was given one (``hide``). The
fields are those of docs/observability.md; a test holds them to it.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Final

from screens import request_id

FIELDS: Final = ("at", "level", "logger", "message", "request_id", "exception")
# Shorter ones would mask ordinary words.
_SHORTEST_SECRET: Final = 8
_SECRETS = re.compile(
    r"(sbx_[a-z]+_[0-9A-Za-z]{8})[0-9A-Za-z]{10,}"
    r"|([a-z][a-z0-9+.-]{2,20}://[^:/@\s]*:)[^@\s]+(?=@)"
    r"|((?:Bearer|Basic)\s+)[^\s\"',]+"
    r"|(\bsk-)[A-Za-z0-9_-]{12,}"
    r"|((?:x-api-key|api[_-]?key|authorization|password|passwd|secret|token|cookie|sessionid"
    r"|csrftoken)[\"']?\s*[:=]\s*[\"']?)(?!(?:Bearer|Basic)\s)[^\s\"',;&]{6,}",
    re.IGNORECASE,
)
_values: set[str] = set()


def hide(value: str) -> None:
    """Never let this value into a line of the log, whatever it looks like."""
    if len(value) >= _SHORTEST_SECRET:
        _values.add(value)


def masked(text: str) -> str:
    """Replace every secret of a known form or value; the part that names it stays readable."""
    for value in _values:
        if value in text:
            text = text.replace(value, "***")
    return _SECRETS.sub(lambda m: f"{next(part for part in m.groups() if part)}***", text)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
            "request_id": request_id.current() or None,
        }
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True)
