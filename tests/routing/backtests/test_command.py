"""`manage.py policy` in git and CI: what it prints, and with which number it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from routing.engine.canonical import digest
from routing.models import PolicyVersion
from routing.services.interchange import read_document, to_yaml
from tests.routing.backtests.conftest import hold_rule, narrow
from tests.routing.conftest import policy_document

ROOT = Path(__file__).resolve().parents[3]
People = dict[str, Any]
TEST = {"given": {"data_class": "internal", "prompt_tokens": 10}, "expect": {"rule": "narrow-work"}}
BACKENDS = """
backends:
  small: {tier: slm, boundary: private, data_classes: [public, internal, confidential, restricted]}
  large: {tier: llm, boundary: public, data_classes: [public], price_in: 1.5}
"""


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(name: str = "policy.yaml", **changed: Any) -> str:
        path = tmp_path / name
        path.write_text(to_yaml(policy_document(**changed)))
        return str(path)

    return write


def said(*asked: str) -> str:
    out = io.StringIO()
    call_command("policy", *asked, stdout=out)
    return out.getvalue()


def ended(*asked: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("policy", *asked, stdout=out)
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue()
    except CommandError as problem:
        return problem.returncode, str(problem)
    return 0, out.getvalue()


def without_database(*asked: str) -> subprocess.CompletedProcess[str]:
    """As in a CI job: a process of its own, and no database behind its address."""
    return subprocess.run(
        [sys.executable, "manage.py", "policy", *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
        check=False,
    )


def test_a_file_is_linted_tested_and_compared_without_a_database(
    file: Callable[..., str],
) -> None:
    one, other = file(tests=[TEST]), file("other.yaml", rules=[narrow(300)])
    linted = without_database("lint", one, "--json")
    assert linted.returncode == 0, linted.stderr
    assert json.loads(linted.stdout)["blocking"] == 0
    tested = without_database("test", one)
    assert tested.returncode == 0, tested.stderr
    assert "1 tests, 0 failed" in tested.stdout
    compared = without_database("diff", one, other)
    assert compared.returncode == 1
    assert "narrow-work" in compared.stdout
    assert "newly possible:" in compared.stdout
    assert without_database("backtest", "support@1").returncode == 2
    assert without_database("nonsense").returncode == 2


@pytest.mark.django_db
class TestWithDatabase:
    def test_lint_ends_with_one_when_something_blocks(
        self, file: Callable[..., str], route: Any
    ) -> None:
        assert ended("lint", file())[0] == 0
        code, words = ended("lint", file(rules=[narrow(), narrow()]))
        assert code == 1
        unknown = {"then": {"route": {"tier": "llm", "targets": ["gone"]}}}
        code, words = ended("lint", file(default=unknown))
        assert code == 1
        assert "error: target_missing" in words

    def test_a_warning_ends_with_one_only_when_asked_to_be_strict(
        self, file: Callable[..., str], route: Any
    ) -> None:
        overlapping = file(rules=[hold_rule(), narrow()])
        assert ended("lint", overlapping)[0] == 0
        assert ended("lint", overlapping, "--strict")[0] == 1

    def test_backends_of_a_file_take_the_place_of_the_registry(
        self, file: Callable[..., str], tmp_path: Path, route: Any
    ) -> None:
        (tmp_path / "backends.yaml").write_text(BACKENDS)
        code, words = ended("lint", file(), "--backends", str(tmp_path / "backends.yaml"))
        assert code == 1
        assert "public_not_allowed" in words or "data_class" in words

    def test_a_failing_test_ends_with_one_and_says_what_came(
        self, file: Callable[..., str], route: Any
    ) -> None:
        wrong = {**TEST, "expect": {"rule": "default"}}
        code, words = ended("test", file(tests=[TEST, wrong]))
        assert code == 1
        assert "FAIL 2." in words
        assert "expected rule default, got narrow-work" in words

    @pytest.mark.parametrize("format", ["yaml", "json"])
    def test_export_and_import_give_the_same_digest(
        self, format: str, active_version: PolicyVersion, tmp_path: Path, people: People
    ) -> None:
        path = tmp_path / f"out.{format}"
        path.write_text(said("export", "support@1", "--format", format))
        assert digest(read_document(path.read_text())) == active_version.digest
        assert ended("diff", str(path), "support@1")[0] == 0
        words = said("import", str(path), "--by", "arjun")
        draft = PolicyVersion.objects.get(state="draft")
        assert draft.digest == active_version.digest
        assert f"{draft} is now a draft" in words

    def test_a_dry_run_shows_the_difference_and_changes_nothing(
        self, file: Callable[..., str], active_version: PolicyVersion
    ) -> None:
        code, words = ended("import", file(rules=[narrow(300)]), "--dry-run")
        assert code == 0
        assert "200 tokens" in words or "200" in words
        assert "Dry run" in words
        assert PolicyVersion.objects.count() == 1

    def test_an_import_needs_a_person_who_may_edit(
        self, file: Callable[..., str], active_version: PolicyVersion, people: People
    ) -> None:
        one = file(rules=[narrow(300)])
        assert ended("import", one)[0] == 2
        assert ended("import", one, "--by", "mallory")[0] == 2
        assert ended("import", one, "--by", "rui")[0] == 2
        assert not PolicyVersion.objects.filter(state="draft").exists()

    def test_a_document_that_blocks_is_not_imported(
        self, file: Callable[..., str], active_version: PolicyVersion, people: People
    ) -> None:
        code, words = ended("import", file(rules=[narrow(), narrow()]), "--by", "arjun")
        assert code == 1
        assert "Not imported" in words
        assert not PolicyVersion.objects.filter(state="draft").exists()

    def test_a_backtest_counts_and_leaves_its_result_with_the_version(
        self, history: Callable[..., list[UUID]], draft_of: Callable[..., PolicyVersion]
    ) -> None:
        history(40)
        draft = draft_of(rules=[narrow(1000)])
        code, words = ended("backtest", str(draft), "--days", "14")
        assert code == 0
        assert "Moved to the small model" in words
        assert "answers were not regenerated" in words
        found = json.loads(said("backtest", str(draft), "--json"))
        assert found["decisions"] == 40
        assert draft.backtests.count() == 2

    @pytest.mark.parametrize(
        "asked",
        [
            ("lint", "nothing.yaml"),
            ("export", "support@99"),
            ("backtest", "support@1"),
            ("backtest", "nothing"),
            ("replay", "--route", "none"),
        ],
    )
    def test_what_cannot_be_done_ends_with_two(
        self, asked: tuple[str, ...], active_version: PolicyVersion
    ) -> None:
        assert ended(*asked)[0] == 2


OURS = (
    "--json",
    "--strict",
    "--backends",
    "--format",
    "--dry-run",
    "--by",
    "--days",
    "--sample",
    "--decisions",
    "--route",
    "--against",
)


def test_every_act_and_option_is_documented() -> None:
    from routing.management.commands.policy import ACTS

    page = (ROOT / "docs" / "policy-as-code.md").read_text()
    assert [act for act in ACTS if f"`{act} " not in page] == []
    assert [option for option in OURS if option not in page] == []
