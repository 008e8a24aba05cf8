"""Nothing secret gets into a line of the log, and each line says whose request it was."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from screens import logs, request_id

CANARY = "canaryQ7x9"


def line(message: str, *arguments: object, error: bool = False) -> dict[str, str]:
    record = logging.LogRecord(
        "routing.gateway", logging.WARNING, __file__, 1, message, arguments, None
    )
    if error:
        try:
            raise ValueError(f"postgresql://app:{CANARY}@db:5432/x refused")
        except ValueError:
            record.exc_info = sys.exc_info()
    return json.loads(logs.JsonFormatter().format(record))


@pytest.mark.parametrize(
    "text",
    [
        f"key sbx_live_AbCd1234{CANARY}xyz was refused",
        f"token sbx_mgmt_AbCd1234{CANARY}xyz was refused",
        f"cannot reach postgresql://signalbox_app:{CANARY}@db:5432/signalbox",
        f"cannot reach rediss://:{CANARY}@broker:6379/0",
        f"cannot reach amqps://user:{CANARY}@broker/vhost",
        f"Authorization: Bearer {CANARY}",
        f"authorization: Basic {CANARY}==",
        f"x-api-key: {CANARY}",
        f'{{"api_key": "{CANARY}", "model": "x"}}',
        f"OPENAI says: invalid key sk-proj-{CANARY}{CANARY}",
        f"password={CANARY}&next=/",
        f"Cookie: sessionid={CANARY}",
        f"client_secret = '{CANARY}'",
    ],
)
def test_secrets_of_every_known_form_are_masked(text: str) -> None:
    assert CANARY not in json.dumps(line("%s", text))


def test_secrets_in_a_traceback_are_masked() -> None:
    found = line("It failed.", error=True)
    assert "ValueError" in found["exception"]
    assert CANARY not in found["exception"]


def test_secrets_of_backends_are_masked_by_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    from routing.services import secrets

    monkeypatch.setenv("SCALE_TEST_KEY", "plain-words-9")
    secrets.resolve("env:SCALE_TEST_KEY")
    assert "plain-words-9" not in line("the backend echoed plain-words-9 to us")["message"]


def test_ordinary_sentences_stay_as_they_are() -> None:
    text = "Running on snapshot revision 7, sha256:ab12; 3 tokens left, password unchanged."
    assert line(text)["message"] == text


def test_line_says_whose_request_it_was_and_breaks_no_line() -> None:
    token = request_id.enter("req_abc123")
    try:
        found = line("first\nsecond")
    finally:
        request_id.leave(token)
    assert found["request_id"] == "req_abc123"
    assert "\n" not in json.dumps(found)
    assert line("outside")["request_id"] is None


def test_every_field_is_documented() -> None:
    page = Path("docs/observability.md").read_text()
    assert set(line("x", error=True)) == set(logs.FIELDS)
    assert [name for name in logs.FIELDS if f"| `{name}` |" not in page] == []


def test_request_id_travels_into_background_tasks() -> None:
    from celery import signals
    from celery.app.task import Context

    from config.celery import app

    @app.task(name="tests.say_request_id")
    def say() -> str:
        return request_id.current()

    headers: dict[str, str] = {}
    token = request_id.enter("req_from_web_1")
    try:
        signals.before_task_publish.send(sender="tests.say_request_id", headers=headers)
    finally:
        request_id.leave(token)
    say.request_stack.push(Context(headers, id="t1"))
    try:
        signals.task_prerun.send(sender=say, task_id="t1", task=say)
        assert request_id.current() == "req_from_web_1"
        signals.task_postrun.send(sender=say, task_id="t1", task=say)
        assert request_id.current() == ""
    finally:
        say.request_stack.pop()
