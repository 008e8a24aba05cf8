"""The engine takes values and returns values; this test holds the list of what it may import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "routing" / "engine"
ALLOWED = {
    "__future__",
    "collections",
    "dataclasses",
    "decimal",
    "difflib",
    "enum",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "typing",
    "unicodedata",
}
# What an allowed module still offers that reaches outside.
FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
MODULES = sorted(ENGINE.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def test_the_engine_has_modules():
    assert len(MODULES) > 10


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_module_imports_only_pure_modules(path: Path):
    outside = {
        name
        for name in imported(ast.parse(path.read_text()))
        if not name.startswith("routing.engine") and name.split(".")[0] not in ALLOWED
    }
    assert outside == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_module_calls_nothing_that_reaches_outside(path: Path):
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called & FORBIDDEN_CALLS == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_module_keeps_no_state(path: Path):
    assert not any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text())))
