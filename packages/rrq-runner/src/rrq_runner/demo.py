"""The handlers of ``rrq demo``: real work on real files.

``analyse_source`` reads one Python file and counts what is in it. Files that are no Python fail for real,
which is what the demonstration wants to show.
"""

import ast
import os
import tokenize
import warnings
from typing import Final, TypedDict
from urllib.parse import unquote_to_bytes

from rrq_runner.registry import Registry
from rrq_runner.settings import RunnerSettings

registry = Registry()

_URI: Final = "file://"
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_NESTING: Final = (
    *_FUNCTIONS,
    ast.ClassDef,
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.Match,
)
_NESTING_STAR: Final = (*_NESTING, ast.TryStar)


class LongestFunction(TypedDict):
    """Where the longest function of a file begins, and how many lines it has."""

    name: str
    lines: int
    line: int


class Analysis(TypedDict):
    """What was counted in one file. ``longest_function`` is None in a file without functions."""

    path: str
    lines: int
    functions: int
    classes: int
    deepest_nesting: int
    longest_function: LongestFunction | None


@registry.handler("analyse_source")
def analyse_source(path: str) -> Analysis:
    """Parse one Python file and return counts.

    Args:
        path: Its path; a ``file:`` URI where that is no UTF-8.

    Raises:
        SyntaxError: It cannot be decoded or parsed; the text names the line.
        OSError: It cannot be read.
    """
    # Decodes as the interpreter would, by cookie or byte order mark.
    with tokenize.open(_file_name(path)) as file:
        source = file.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes and the like are the file's own affair
        tree = ast.parse(source, filename=path)
    counted = _count(tree)
    counted["path"] = path
    counted["lines"] = len(source.splitlines())
    return counted


def _file_name(path: str) -> str:
    # What is no UTF-8 has no form of its own in JSON.
    return os.fsdecode(unquote_to_bytes(path.removeprefix(_URI))) if path.startswith(_URI) else path


def _count(tree: ast.Module) -> Analysis:
    counted = Analysis(path="", lines=0, functions=0, classes=0, deepest_nesting=0, longest_function=None)
    pending: list[tuple[ast.AST, int]] = [(tree, 0)]
    while pending:  # not recursive: generated files can be nested deeper than the stack
        node, depth = pending.pop()
        depth += isinstance(node, _NESTING_STAR)
        counted["deepest_nesting"] = max(counted["deepest_nesting"], depth)
        counted["classes"] += isinstance(node, ast.ClassDef)
        if isinstance(node, _FUNCTIONS):
            counted["functions"] += 1
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            longest = counted["longest_function"]
            if longest is None or lines > longest["lines"]:
                counted["longest_function"] = LongestFunction(name=node.name, lines=lines, line=node.lineno)
        pending.extend((child, depth) for child in ast.iter_child_nodes(node))
    return counted


settings = RunnerSettings(registry=registry)
