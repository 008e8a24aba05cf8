"""docs/policy.md is the reference of the language: it must know all that the engine knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from routing.engine import canonical
from routing.engine.clauses import OPERATORS
from routing.engine.registry import FIRST_REGISTRY
from routing.engine.types import CAUSES, REJECTIONS
from tests.engine.cases import EXAMPLE

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "policy.md").read_text()
CODES = sorted(
    {
        code
        for path in (ROOT / "routing" / "engine").glob("*.py")
        for code in re.findall(
            r"(?:analysis|self)\.add\(\s*\"([a-z_]+)\"|code = \"([a-z_]+)\"", path.read_text()
        )
        for code in code
        if code
    }
)


def test_example_of_the_reference_is_the_tested_one():
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert canonical.digest(yaml.safe_load(block)) == canonical.digest(EXAMPLE)


@pytest.mark.parametrize(
    "name", [*OPERATORS, *FIRST_REGISTRY.signals, *CAUSES, *REJECTIONS, *EXAMPLE, *CODES]
)
def test_reference_names(name):
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("signal", FIRST_REGISTRY.signals.values(), ids=lambda signal: signal.name)
def test_reference_gives_the_sentence_of(signal):
    assert f"| `{signal.name}` |" in TEXT and signal.sentence in TEXT
