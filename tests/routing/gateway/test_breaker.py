"""The breaker: when it opens, that one probe at a time goes through, and what never counts."""

from __future__ import annotations

from routing.gateway.breaker import Breaker


def opened_by_connect_errors() -> Breaker:
    breaker = Breaker()
    for at in range(5):
        breaker.failed(float(at), is_connect_error=True)
    return breaker


def test_five_connect_errors_in_a_row_open_it() -> None:
    assert opened_by_connect_errors().is_open(5.0)


def test_four_connect_errors_do_not() -> None:
    breaker = Breaker()
    for at in range(4):
        breaker.failed(float(at), is_connect_error=True)

    assert not breaker.is_open(5.0)


def test_half_of_twenty_calls_failing_opens_it_and_half_of_ten_does_not() -> None:
    ten, twenty = Breaker(), Breaker()
    for breaker, pairs in ((ten, 5), (twenty, 10)):
        for at in range(pairs):
            breaker.succeeded(float(at))
            breaker.failed(float(at), is_connect_error=False)

    assert not ten.is_open(10.0)
    assert twenty.is_open(10.0)


def test_old_failures_are_forgotten() -> None:
    breaker = Breaker()
    for _ in range(15):
        breaker.failed(0.0, is_connect_error=False)
    for at in range(20):
        breaker.succeeded(100.0 + at)

    breaker.failed(121.0, is_connect_error=False)

    assert not breaker.is_open(122.0)


def test_after_the_cooldown_one_probe_at_a_time_goes_through() -> None:
    breaker = opened_by_connect_errors()
    later = 4.0 + 30.0

    assert not breaker.is_open(later)
    breaker.started(later)
    assert breaker.is_open(later)


def test_a_good_probe_closes_it() -> None:
    breaker = opened_by_connect_errors()
    breaker.started(34.0)

    breaker.succeeded(35.0)

    assert breaker.state(35.0) == "closed"


def test_a_failed_probe_waits_longer_the_next_time() -> None:
    breaker = opened_by_connect_errors()
    breaker.started(34.0)

    breaker.failed(34.0, is_connect_error=True)

    assert breaker.is_open(34.0 + 29.0)


def test_a_probe_whose_client_left_lets_another_one_try() -> None:
    breaker = opened_by_connect_errors()
    breaker.started(34.0)

    breaker.abandoned()

    assert not breaker.is_open(34.0)
