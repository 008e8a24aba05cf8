"""How times, money, shares and states are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.template import Context, Template

from screens.templatetags import signalbox as words

NOW = datetime(2026, 11, 24, 22, 43, 1, tzinfo=UTC)
NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0_s"),
        (12, "12_s"),
        (60, "1_min"),
        (250, "4_min 10_s"),
        (3900, "1_h 5_min"),
        (3601, "1_h"),
        (100_000, "1_d 3_h"),
    ],
)
def test_lengths_of_time_have_two_units_at_most(seconds: int, written: str) -> None:
    assert words.in_words(seconds) == written.replace("_", NBSP)


def test_a_time_is_relative_with_the_absolute_one_beside_it() -> None:
    html = words.ago(NOW - timedelta(minutes=3, seconds=20), NOW)

    assert f">3{NBSP}min ago<" in html
    assert 'title="2026-11-24 22:39:41 UTC"' in html


def test_a_deadline_that_has_passed_says_over() -> None:
    assert "over" in words.until(NOW - timedelta(minutes=2), NOW)


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (None, words.NOTHING),
        (Decimal("0"), "$0.00"),
        (Decimal("0.00042"), "$0.00042"),
        (Decimal("0.25"), "$0.2500"),
        (Decimal("1204.505"), "$1,204.51"),
        ("NaN", words.NOTHING),
    ],
)
def test_money_is_written_with_the_places_it_needs(amount: object, written: str) -> None:
    assert words.usd(amount) == written


@pytest.mark.parametrize(
    ("share", "written"), [(0, "0_%"), (0.614, "61_%"), (0.004, "<_1_%"), (None, words.NOTHING)]
)
def test_a_small_share_is_not_written_as_nothing(share: object, written: str) -> None:
    assert words.percent(share) == written.replace("_", NBSP)


@pytest.mark.parametrize(
    ("ms", "written"),
    [(0.42, "0.4_ms"), (38.2, "38_ms"), (1240, "1.24_s"), (250_000, "4_min 10_s")],
)
def test_durations_change_their_unit(ms: float, written: str) -> None:
    assert words.duration_ms(ms) == written.replace("_", NBSP)


@pytest.mark.parametrize(
    ("state", "tone"),
    [("served", "good"), ("Safe default", "warn"), ("refused", "bad"), ("whatever", "neutral")],
)
def test_states_have_their_tone(state: str, tone: str) -> None:
    assert words.tone(state) == tone


def test_a_copy_button_escapes_what_it_copies() -> None:
    html = words.copyable('"><script>alert(1)</script>')

    assert "<script>" not in html


def test_a_shortened_digest_still_copies_the_whole() -> None:
    html = words.copyable("sha256:9f2c41d07be3a58d", short=6, label="digest")

    assert ">9f2c41<" in html
    assert 'data-copy="sha256:9f2c41d07be3a58d"' in html
    assert 'aria-label="Copy digest 9f2c41"' in html


def test_the_tag_works_out_its_tone_and_keeps_the_word() -> None:
    html = Template('{% include "components/tag.html" with text=state only %}').render(
        Context({"state": "safe_default"})
    )

    assert 'data-tone="warn"' in html
    assert "safe default" in html
