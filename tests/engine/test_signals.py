from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.engine.document import parse_policy
from routing.engine.language import language_of
from routing.engine.registry import FIRST_REGISTRY
from routing.engine.signals import (
    measure,
    read_request,
    token_estimate,
    unmeasured,
    without_boilerplate,
    words_of,
)
from routing.engine.topics import topic_of
from tests.engine.cases import small


def chat(*turns, **more):
    return {"messages": [{"role": role, "content": content} for role, content in turns], **more}


def test_last_user_turn_is_what_is_measured():
    body = chat(
        ("system", "You are a lawyer. The defendant pleads guilty."),
        ("user", "Hello"),
        ("assistant", "Hi, how can I help?"),
        ("user", "Where is my card?"),
        ("assistant", ""),
    )
    request = read_request(body)
    assert request.last_turn == "Where is my card?"
    assert request.context == "Hello\nHi, how can I help?"
    assert request.turns == 2
    assert measure(request)["topic"] == "account"


def test_personal_data_is_looked_for_in_everything_that_is_sent():
    body = chat(("system", "Owner: jane@example.com"), ("user", "Where is my card?"))
    assert measure(body)["personal_data"] == {"email"}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<system-reminder>be kind</system-reminder> Where is it?", "Where is it?"),
        ("A<system-reminder>x</system-reminder>B<system-reminder>y</system-reminder>", "AB"),
        ("<environment_context>cwd</environment_context>\nFix it", "Fix it"),
        (
            "<system-reminder>never closed. Where is it?",
            "<system-reminder>never closed. Where is it?",
        ),
        ("1 < 2 and <b>bold</b>", "1 < 2 and <b>bold</b>"),
    ],
)
def test_harness_blocks_are_stripped_and_unclosed_ones_stay(text, left):
    assert without_boilerplate(text) == left


def test_turn_of_boilerplate_alone_gives_way_to_the_turn_before():
    body = chat(("user", "Where is my card?"), ("user", "<system-reminder>x</system-reminder>"))
    assert read_request(body).last_turn == "Where is my card?"


def test_stripped_text_is_still_searched_and_counted():
    body = chat(("user", "<system-reminder>jane@example.com</system-reminder>Hello there"))
    signals = measure(body)
    assert signals["personal_data"] == {"email"}
    assert signals["prompt_tokens"] > 10


def test_request_options_are_seen():
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {}}]
    body = chat(
        ("user", parts), tools=[{"type": "function"}], response_format={"type": "json_schema"}
    )
    signals = measure(body)
    assert signals["has_images"] and signals["has_tools"] and signals["wants_json"]
    assert read_request(body).last_turn == "What is this?"


def test_plain_request_has_no_options():
    signals = measure(chat(("user", "Hello there")))
    assert not any(signals[name] for name in ("has_images", "has_tools", "wants_json", "has_code"))


def test_responses_and_messages_bodies_are_read_too():
    responses = {
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Where is it?"}]}],
        "text": {"format": {"type": "json_object"}},
    }
    assert read_request(responses).last_turn == "Where is it?"
    assert read_request(responses).wants_json
    assert read_request({"input": "Where is it?"}).last_turn == "Where is it?"
    messages = {"system": "Be brief.", **chat(("user", [{"type": "text", "text": "Where is it?"}]))}
    assert read_request(messages).last_turn == "Where is it?"


def test_image_alone_has_no_topic_and_no_language():
    signals = measure(chat(("user", [{"type": "image_url", "image_url": {}}])))
    assert signals["has_images"] and "topic" not in signals and "language" not in signals


def test_what_the_gateway_knows_is_passed_through_in_its_type():
    signals = measure(
        chat(("user", "Hi")),
        step="intake",
        client="claims-portal",
        hour=13,
        budget_left_pct=Decimal("12.5"),
        backend_health="degraded",
    )
    assert signals["hour"] == 13 and signals["backend_health"] == "degraded"
    assert signals["step"] == "intake" and signals["budget_left_pct"] == Decimal("12.5")
    assert "hour" not in measure(chat(("user", "Hi")), hour=24)
    assert "step" not in measure(chat(("user", "Hi")), step="x" * 201)


def test_declared_metadata_becomes_signals_and_other_metadata_does_not():
    policy = parse_policy(small([], signals={"metadata.amount": {"type": "number"}}))
    body = chat(("user", "Hi"), metadata={"amount": 12.5, "note": "x"})
    signals = measure(body, registry=policy.registry)
    assert signals["metadata.amount"] == Decimal("12.5") and "metadata.note" not in signals


def test_text_too_long_to_search_is_named_as_unmeasured():
    assert unmeasured(measure(chat(("user", "Hi")))) == frozenset()
    assert unmeasured(measure(chat(("user", "a " * 210_000)))) == {"personal_data"}


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 0, 10),
        ("Where is my card?", 5, 12),
        ("The quick brown fox jumps over the lazy dog. " * 50, 450, 700),
        ("私のカードはどこですか" * 10, 100, 160),
    ],
)
def test_token_estimate_is_near_and_rather_high(text, low, high):
    assert low <= token_estimate(read_request({"input": text})) <= high


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "Where is my card? It has not arrived yet."),
        ("de", "Wo ist meine Karte, sie ist noch nicht angekommen?"),
        ("fr", "Où est ma carte, je ne l'ai pas reçue"),
        ("es", "¿Dónde está mi tarjeta? No ha llegado"),
        ("it", "Dov'è la mia carta, non è ancora arrivata"),
        ("pt", "Onde está o meu cartão? Ainda não chegou"),
        ("nl", "Waar is mijn kaart, die is nog niet aangekomen"),
        ("pl", "Gdzie jest moja karta, jeszcze nie przyszła"),
        ("ja", "私のカードはどこですか"),
        ("zh", "我的卡在哪里"),
        ("ko", "내 카드는 어디에 있나요"),
        ("ru", "Где моя карта, она еще не пришла"),
        ("ar", "أين بطاقتي"),
        (None, "qwrt zxcv"),
        (None, "12345"),
        (None, ""),
    ],
)
def test_language_is_told_or_left_open(code, text):
    assert language_of(text, words_of(text)) == code


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("account", "Why was my card payment declined?"),
        ("legal", "Can the landlord evict a tenant without a court order?"),
        ("medical", "Which antibiotics are safe in pregnancy?"),
        ("technical", "Why does my docker container lose its network?"),
        ("math", "Tom has 3 boxes with 12 pens each. How many pens are left in total?"),
        ("other", "What should I cook tonight?"),
        (None, "1234"),
    ],
)
def test_topic_follows_the_published_words(topic, text):
    assert topic_of(text, words_of(text)) == topic


@pytest.mark.parametrize(
    ("text", "is_code"),
    [
        ("```python\nx = 1\n```", True),
        ("def add(a, b): return a + b", True),
        ("SELECT name FROM people", True),
        ("I would like to import goods from France", False),
        ("Please select a plan from the list; thanks", False),
        ("function of the liver", False),
    ],
)
def test_code_is_told_from_prose(text, is_code):
    assert measure({"input": text})["has_code"] is is_code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=10,
)
KEYS = (
    "messages",
    "input",
    "tools",
    "response_format",
    "system",
    "metadata",
    "text",
    "instructions",
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4))
def test_any_body_is_measured_without_an_error(body):
    signals = measure(body)
    assert FIRST_REGISTRY.admit(signals) == signals


@given(JSON, JSON)
def test_any_message_is_read_without_an_error(role, content):
    measure({"messages": [{"role": role, "content": content}, content]})
    measure({"messages": [{"role": "user", "content": [{"type": role, "text": content}, content]}]})
