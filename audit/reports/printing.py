"""Two printed faces of the same blocks: a page without script, and a PDF by typst.

Both are made from the report's JSON and nothing else, so the same JSON gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson
import typst
from django.conf import settings
from django.template.loader import render_to_string

TYPST: Final = Path(settings.BASE_DIR) / "templates" / "typst"


def all_of(report: Mapping[str, Any], at: datetime) -> dict[str, bytes]:
    """The three faces by their endings."""
    raw = canonical(report)
    digest = sha256(raw).hexdigest()
    return {"html": page(report, digest), "json": raw, "pdf": pdf(report, digest, at)}


def canonical(report: Mapping[str, Any]) -> bytes:
    """The bytes of report.json; the printed faces carry their SHA-256."""
    return orjson.dumps(report, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"


def page(report: Mapping[str, Any], digest: str) -> bytes:
    """The report as one page: no script, nothing from outside, prints on A4."""
    return render_to_string(
        "audit/bundle/report.html", {"report": report, "digest": digest}
    ).encode()


def pdf(report: Mapping[str, Any], digest: str, at: datetime) -> bytes:
    """The same as a tagged PDF. Values go in as data, which typst never reads as code."""
    return compiled("report.typ", {"report": report, "digest": digest}, at)


def compiled(template: str, content: Mapping[str, Any], at: datetime) -> bytes:
    """A typst template of this installation, filled; ``at`` is the document's only time."""
    made = typst.compile(
        str(TYPST / template),
        root=str(TYPST),
        format="pdf",
        ignore_system_fonts=True,
        sys_inputs={"content": orjson.dumps(content).decode()},
        timestamp=int(at.timestamp()),
    )
    if not isinstance(made, bytes):
        raise TypeError("typst gave no document")
    return made
