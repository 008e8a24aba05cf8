from __future__ import annotations

import pytest

from routing.engine.detectors import MAX_SEARCHED, personal_tags

FOUND = [
    ("email", "Please write to jane.doe+claims@mail.example.co.uk today"),
    ("phone", "call me at +49 30 901820 after six"),
    ("phone", "my number is (415) 555-0132"),
    ("phone", "ring 0171 123 4567"),
    ("phone", "00 44? no: 0044 20 7946 0958"),
    ("iban", "send it to DE89 3704 0044 0532 0130 00, thanks"),
    ("iban", "IBAN GB82WEST12345698765432"),
    ("payment_card", "card 4111 1111 1111 1111 expires soon"),
    ("payment_card", "amex 378282246310005"),
    ("payment_card", "5555-5555-5555-4444"),
    ("national_id", "SSN 219-09-9999"),
    ("national_id", "PESEL 44051401359"),
    ("national_id", "DNI 12345678Z"),
    ("national_id", "NIE X1234567L"),
    ("national_id", "codice fiscale RSSMRA85T10A562S"),
    ("national_id", "Steuer-ID 86095742719"),
    ("national_id", "CPF 529.982.247-25"),
    ("national_id", "NINO AB 12 34 56 C"),
    ("national_id", "numéro 1 85 05 78 006 084 91"),
    ("national_id", "BSN: 111222333"),
    ("secret", "key sk-abcDEF0123456789abcdefXYZ"),
    ("secret", "AKIAIOSFODNN7EXAMPLE"),
    ("secret", "-----BEGIN RSA PRIVATE KEY-----"),
    ("secret", "password = hunter2hunter2"),
    ("secret", "ghp_" + "a1B2" * 9),
]


@pytest.mark.parametrize(("tag", "text"), FOUND)
def test_personal_data_is_found(tag, text):
    assert tag in personal_tags(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "John has 3 apples and gives 1,250 away; how many are left of 100000?",
        "DE89 3704 0044 0532 0130 01",
        "4111 1111 1111 1112",
        "order 1234567890123456 of 12.10.2025",
        "SSN 000-12-3456 and 666-12-3456",
        "PESEL 44051401358",
        "DNI 12345678A",
        "RSSMRA85T10A562T",
        "I forgot my password, please reset my password: thanks",
        "the ratio 5:6 @ noon, see @home",
        "v1.2.3.4 build 20251124103000",
        "0000000000000000",
    ],
)
def test_numbers_without_their_checksum_are_not_personal(text):
    assert personal_tags(text) == frozenset()


def test_text_too_long_to_search_is_unmeasured_rather_than_clean():
    assert personal_tags("a" * (MAX_SEARCHED + 1)) is None


@pytest.mark.parametrize(
    "unit",
    ["1 ", "a.", "@a", "a@b.", "0-", "+1 (", "A1", "eyJa.", "AB12 ", "4111 ", "DE89 3704 ", "x: "],
)
def test_longest_text_of_the_worst_kind_is_searched_through(unit):
    # No clock: with a quadratic pattern this would not come back within the patience of a person.
    assert personal_tags((unit * MAX_SEARCHED)[:MAX_SEARCHED]) is not None
