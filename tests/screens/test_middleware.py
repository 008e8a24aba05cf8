"""What every answer carries, and how a refusal is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from screens import answers, request_id
from screens.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from screens.middleware import (
    ContentSecurityPolicyMiddleware,
    DomainErrorMiddleware,
    RequestIdMiddleware,
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class Anonymous:
    is_authenticated = False


def asked(**headers: str) -> HttpRequest:
    request = RequestFactory().get("/review/", headers=headers)
    request.user = Anonymous()  # type: ignore[assignment]
    request._messages = CookieStorage(request)  # type: ignore[attr-defined]
    return request


def test_the_browser_gets_exactly_this_policy() -> None:
    answer = ContentSecurityPolicyMiddleware(lambda request: HttpResponse())(asked())

    assert answer["Content-Security-Policy"] == POLICY


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ],
)
def test_the_browser_is_kept_within_its_limits(header: str, value: str) -> None:
    answer = ContentSecurityPolicyMiddleware(lambda request: HttpResponse())(asked())

    assert answer[header] == value


def test_a_view_may_set_its_own_caching() -> None:
    def cached(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Cache-Control": "max-age=60"})

    assert ContentSecurityPolicyMiddleware(cached)(asked())["Cache-Control"] == "max-age=60"


def test_a_harmless_request_id_is_kept_and_given_back() -> None:
    seen: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request_id.current())
        return HttpResponse()

    answer = RequestIdMiddleware(view)(asked(X_Request_Id="caller-0001"))

    assert (seen, answer["x-request-id"]) == (["caller-0001"], "caller-0001")
    assert request_id.current() == ""


@pytest.mark.parametrize("offered", [None, "", "short", "a" * 129, "line\nbreak", "<script>alert"])
def test_a_request_id_that_could_break_a_log_is_replaced(offered: str | None) -> None:
    chosen = request_id.accept(offered)

    assert chosen != offered
    assert len(chosen) == 32


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotAllowed(), 403), (NotFound(), 404), (Conflict(), 409), (Invalid(), 422)],
)
def test_each_domain_error_has_its_status(error: DomainError, status: int) -> None:
    assert answers.status_of(error) == status


def test_a_kind_of_its_own_keeps_the_status_of_its_family() -> None:
    class AlreadyClaimed(Conflict):
        default_code = "already_claimed"

    assert answers.status_of(AlreadyClaimed("M. Ortega has it.")) == 409


def test_a_refusal_becomes_a_page_that_says_why_and_what_next() -> None:
    error = Conflict("M. Ortega claimed this case.", what_next="Take the next one.")

    answer = DomainErrorMiddleware(lambda request: HttpResponse()).process_exception(asked(), error)

    assert answer is not None
    assert answer.status_code == 409
    assert "M. Ortega claimed this case." in answer.text
    assert "Take the next one." in answer.text
    assert "<html" in answer.text


def test_a_refusal_by_htmx_goes_above_the_form_and_leaves_it_alone() -> None:
    answer = answers.page_for(asked(HX_Request="true"), Conflict("M. Ortega was first."))

    assert answer["HX-Retarget"] == "#problem"
    assert "<html" not in answer.text


def test_a_forbidden_fragment_is_told_as_a_toast_because_htmx_does_not_swap_it() -> None:
    answer = answers.page_for(asked(HX_Request="true"), NotAllowed("Not yours."))

    assert json.loads(answer["HX-Trigger"])["toast"]["text"] == "Not yours."


def test_what_is_shown_of_an_error_is_escaped() -> None:
    answer = answers.page_for(asked(), Invalid("<script>alert(1)</script>"))

    assert "<script>alert" not in answer.text


def test_other_errors_are_not_swallowed() -> None:
    middleware = DomainErrorMiddleware(lambda request: HttpResponse())

    assert middleware.process_exception(asked(), ValueError("a defect")) is None


def test_the_api_says_the_same_words() -> None:
    body: dict[str, Any] = answers.as_json(NotFound("No such backend.", code="no_backend"))

    assert body["error"]["message"] == "No such backend."
    assert body["error"]["code"] == "no_backend"
