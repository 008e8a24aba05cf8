"""Rules that a strict content security policy and the style put on every template."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A bundle is opened from a disk, without our server and its files: it carries its own style.
TEMPLATES = sorted(
    path for path in (ROOT / "templates").rglob("*.html") if "bundle" not in path.parts
)
BANNED = {
    "an inline style": re.compile(r"<style|\sstyle="),
    "an inline script": re.compile(r"<script(?![^>]*\ssrc=)"),
    "an inline event": re.compile(r"\son[a-z]+=", re.IGNORECASE),
    # With eval off these are dropped and the request is sent anyway.
    "hx-on": re.compile(r"hx-on"),
    "a trigger filter": re.compile(r'hx-trigger="[^"]*\['),
    "a js: value": re.compile(r"hx-(vals|headers)=.js:"),
    "unescaped text": re.compile(r"\|\s*safe\b|autoescape off"),
}


def source(path: Path) -> str:
    return re.sub(r"{%\s*comment.*?endcomment\s*%}", "", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.parametrize("what", BANNED)
def test_templates_need_nothing_that_the_policy_forbids(path: Path, what: str) -> None:
    found = BANNED[what].search(source(path))

    assert found is None, f"{what}: {found and found[0]}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_templates_say_what_they_are_given(path: Path) -> None:
    assert "{% comment %}" in path.read_text()


def test_every_symbol_that_a_template_asks_for_is_in_the_sprite() -> None:
    asked = {name for path in TEMPLATES for name in re.findall(r'{% icon "([^"]+)"', source(path))}
    there = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/icons.svg").read_text()))

    assert asked <= there


def test_the_fonts_are_the_ones_that_the_manifest_names() -> None:
    folder = ROOT / "static/fonts"
    manifest = json.loads((folder / "manifest.json").read_text())

    named = {entry["file"]: entry["sha256"] for entry in manifest}
    there = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.woff2")
    }
    assert named == there


TOKEN = re.compile(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
TOKENS = {name: pair for name, *pair in TOKEN.findall((ROOT / "static/css/app.css").read_text())}
TEXT_ON = [
    *((text, ground) for text in ("ink", "muted", "accent") for ground in ("surface", "raised")),
    *((text, "sunken") for text in ("ink", "muted")),
    *((text, "accent-wash") for text in ("ink", "muted", "accent")),
    *((tone, f"{tone}-wash") for tone in ("good", "warn", "bad")),
    *((tone, "raised") for tone in ("good", "warn", "bad")),
    ("accent-ink", "accent"),
    ("ink", "bad-wash"),
]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON)
def test_text_can_be_read_on_its_ground(text: str, ground: str, theme: int) -> None:
    assert contrast(TOKENS[text][theme], TOKENS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["surface", "raised", "sunken"])
def test_the_border_of_a_field_can_be_seen(ground: str, theme: int) -> None:
    assert contrast(TOKENS["line-strong"][theme], TOKENS[ground][theme]) >= 3
