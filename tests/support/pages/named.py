"""Tests that a page names, as `` `file.py::name` ``, and whether they are there."""

import ast
import re
from functools import cache

from support.rules import ROOT

__all__ = ["missing_tests", "named_tests"]

_TEST = re.compile(r"`(?P<file>[\w/.-]+\.py)::(?P<name>\w+)`")


def named_tests(text: str) -> list[tuple[str, str]]:
    """Return file and name of each test that a text names, in order."""
    return [(found["file"], found["name"]) for found in _TEST.finditer(text)]


def missing_tests(text: str) -> list[str]:
    """Return the names among them that their files do not define."""
    return [name for file, name in named_tests(text) if name not in _defined_in(file)]


@cache
def _defined_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
