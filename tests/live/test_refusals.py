"""What the live API refuses: the documented status, and an error object with all its fields."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.installation import Site

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("live")]

PATH = "/v1/chat/completions"
GOOD = {"model": "support-triage", "messages": [{"role": "user", "content": "Where is my parcel?"}]}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error = answer.json()["error"]
    assert {"message", "type", "param", "code", "request_id", "decision_id"} <= error.keys()
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{" + b" " * 3_000_000 + b"}", 413, "request_too_large"),
        (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, "invalid_request"),
        (b'{"model":"a","model":"b"}', 400, "invalid_request"),
        (b'{"model":"a\\u0000"}', 400, "invalid_request"),
        (json.dumps({**GOOD, "model": "no-such-route"}).encode(), 404, "model_not_found"),
        (b"not json", 400, "invalid_request"),
    ],
    ids=["3 MB", "10,000 arrays", "duplicate key", "NUL", "unknown model", "no JSON"],
)
def test_a_bad_request_gets_its_documented_error(
    api: httpx.Client, raw: bytes, status: int, code: str
) -> None:
    answer = api.post(PATH, content=raw, headers={"content-type": "application/json"})

    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Bearer a b", "Basic abc", "sbx_live_x"])
def test_a_bad_key_is_401_and_leaves_no_row(site: Site, header: str) -> None:
    answer = httpx.post(
        site.url + PATH, json=GOOD, headers={"authorization": header} if header else {}
    )

    assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_api_key")


def test_an_unknown_path_and_a_wrong_method_have_the_same_form(api: httpx.Client) -> None:
    missing, wrong = api.get("/v1/nothing"), api.get(PATH)

    assert (missing.status_code, error_of(missing)["code"]) == (404, "not_found")
    assert (wrong.status_code, error_of(wrong)["code"]) == (405, "method_not_allowed")


def test_a_data_class_below_the_routes_does_not_lower_it(api: httpx.Client) -> None:
    answer = api.post(PATH, json=GOOD, headers={"x-signalbox-data-class": "public"})

    assert answer.status_code == 200


def test_an_unknown_data_class_is_refused(api: httpx.Client) -> None:
    answer = api.post(PATH, json=GOOD, headers={"x-signalbox-data-class": "secret"})

    assert error_of(answer)["code"] == "invalid_request"


def test_a_request_id_of_a_client_is_kept_and_a_dangerous_one_is_not(api: httpx.Client) -> None:
    kept = api.post(PATH, json=GOOD, headers={"x-request-id": "order-17"})
    replaced = api.post(PATH, json=GOOD, headers={"x-request-id": "a b<script>"})

    assert kept.headers["x-request-id"] == "order-17"
    assert replaced.headers["x-request-id"].startswith("req_")


def test_an_answer_never_shows_an_address_or_a_secret(api: httpx.Client) -> None:
    answer = api.post(PATH, json=GOOD)

    shown = " ".join(f"{name}: {value}" for name, value in answer.headers.items()) + answer.text
    assert "127.0.0.1" not in shown
    assert "sbx_live" not in shown
