"""The demonstration's handler counts what is in a Python file."""

import ast
import os
import warnings
from pathlib import Path

import pytest

from rrq_runner.demo import analyse_source, settings

SOURCE = """\
class A:
    def short(self):
        pass

    async def longer(self):
        for x in y:
            if x:
                with x:
                    pass


def last(): ...
"""


def test_counts(tmp_path: Path) -> None:
    """Lines, functions, classes, nesting and the longest function are told."""
    path = tmp_path / "a.py"
    path.write_text(SOURCE)
    assert analyse_source(str(path)) == {
        "path": str(path),
        "lines": 12,
        "functions": 3,
        "classes": 1,
        "deepest_nesting": 5,
        "longest_function": {"name": "longer", "lines": 5, "line": 5},
    }


def test_an_empty_file_has_nothing(tmp_path: Path) -> None:
    """No functions: no longest one."""
    path = tmp_path / "a.py"
    path.touch()
    assert analyse_source(str(path)) == {
        "path": str(path),
        "lines": 0,
        "functions": 0,
        "classes": 0,
        "deepest_nesting": 0,
        "longest_function": None,
    }


def test_a_name_that_is_no_utf8_comes_as_a_uri(tmp_path: Path) -> None:
    """The bytes of the name are in the URI, which is what the result says again."""
    path = tmp_path / os.fsdecode(b"caf\xe9 %41.py")
    path.write_text(SOURCE)
    analysis = analyse_source(path.as_uri())
    assert (analysis["path"], analysis["functions"]) == (path.as_uri(), 3)
    with pytest.raises(FileNotFoundError):
        analyse_source(f"{path.as_uri()}.gone")


def test_files_are_decoded_as_the_interpreter_would(tmp_path: Path) -> None:
    """An encoding cookie and a byte order mark are honoured."""
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    (tmp_path / "bom.py").write_bytes(b"\xef\xbb\xbfx = 1\n")
    assert analyse_source(str(tmp_path / "latin.py"))["lines"] == 2
    assert analyse_source(str(tmp_path / "bom.py"))["lines"] == 1


@pytest.mark.parametrize("text", [b"def (:\n", b"x = '\xff'\n", b"# coding: nonsense\n", b"x = 1\x00"])
def test_what_is_no_python_fails_clearly(text: bytes, tmp_path: Path) -> None:
    """Broken syntax, undecodable bytes, an unknown encoding and NULs all are syntax errors with a text."""
    path = tmp_path / "bad.py"
    path.write_bytes(text)
    with pytest.raises(SyntaxError, match=r"bad\.py|bad|invalid|unknown|null"):
        analyse_source(str(path))


def test_warnings_of_the_parsed_file_are_its_own_affair(tmp_path: Path) -> None:
    """An odd escape in a parsed file does not warn in the runner."""
    path = tmp_path / "a.py"
    path.write_text("x = '\\d'\nassert (1, 'always')\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert analyse_source(str(path))["lines"] == 2


def test_the_standard_librarys_own_files_are_read() -> None:
    """A real, large module gives plausible counts."""
    counts = analyse_source(str(ast.__file__))
    assert counts["functions"] > 50
    assert counts["longest_function"] is not None


def test_the_settings_offer_it() -> None:
    """The orchestrator finds the handler under its name."""
    assert settings.registry.names == ["analyse_source"]
