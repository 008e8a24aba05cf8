"""JSON logs: one line per record, control characters escaped, secrets masked."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

from screens import request_id

_SECRETS = re.compile(
    r"(sbx_live_[0-9A-Za-z]{8})[0-9A-Za-z]{10,}"
    r"|(postgres(?:ql)?://[^:/\s]+:)[^@\s]+"
    r"|((?:Bearer|Basic)\s+)[^\s\"']+",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """Replace every secret of a known form; the part that names it stays readable."""
    return _SECRETS.sub(lambda m: f"{m[1] or m[2] or m[3]}***", text)


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
