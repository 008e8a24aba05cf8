"""A hold rule's cap: its share of recent traffic, not of all time."""

from __future__ import annotations

from decimal import Decimal

from routing.gateway.caps import HoldCaps

CAPS = {"privacy": Decimal(10)}


def test_the_first_hold_is_always_permitted() -> None:
    assert HoldCaps().used_up("support", CAPS) == frozenset()


def test_a_rule_over_its_share_may_not_hold() -> None:
    caps = HoldCaps()
    for _ in range(8):
        caps.note("support", None)
    caps.note("support", "privacy")

    assert caps.used_up("support", CAPS) == {"privacy"}


def test_more_traffic_gives_the_share_back() -> None:
    caps = HoldCaps()
    caps.note("support", "privacy")
    for _ in range(19):
        caps.note("support", None)

    assert caps.used_up("support", CAPS) == frozenset()


def test_holds_that_left_the_window_do_not_count() -> None:
    caps = HoldCaps(window=5)
    caps.note("support", "privacy")
    for _ in range(5):
        caps.note("support", None)

    assert caps.used_up("support", CAPS) == frozenset()


def test_routes_do_not_share_a_cap() -> None:
    caps = HoldCaps()
    caps.note("support", "privacy")

    assert caps.used_up("claims", CAPS) == frozenset()
