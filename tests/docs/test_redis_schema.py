"""`docs/redis-schema.md` says what keys.py, job.py, the Lua headers and the enums say."""

import inspect
import itertools
import re
from collections.abc import Iterator

import pytest

import rrq_protocol
from rrq_protocol import JobStatus, Keyspace
from rrq_protocol.job import JobRecord
from rrq_protocol.scripts import script_names, script_source
from rrq_protocol.transitions import SettleKind
from support.rules import ROOT

_RENAMED = {"params": "job_params", "attempts": "attempts_log", "releases": "releases_log"}
_BACK = {"queue_name", "dlq_name"}


@pytest.fixture(scope="module")
def page() -> str:
    """The page's text."""
    return (ROOT / "docs" / "redis-schema.md").read_text(encoding="utf-8")


def _key_rows() -> Iterator[str]:
    keyspace = Keyspace()
    for name, member in vars(Keyspace).items():
        if name.startswith("_") or name in _BACK:
            continue
        if isinstance(member, property):
            key, text = getattr(keyspace, name), inspect.getdoc(member)
        elif inspect.isfunction(member):
            parameters = list(inspect.signature(member).parameters)[1:]
            key, text = member(keyspace, *(f"<{each}>" for each in parameters)), inspect.getdoc(member)
        else:
            continue
        kind, separator, meaning = (text or "").partition(": ")
        yield _row(f"`{key}`", kind if separator else "–", meaning if separator else text or "")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("``", "`").replace("->", "→") for cell in cells) + " |"


def _section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_key_has_its_row(page: str) -> None:
    """Each key of keys.py is there with its type and meaning, and none that keys.py does not know."""
    rows = list(_key_rows())
    assert len(rows) > 20
    shown = [line for line in _section(page, "Keys").splitlines() if line.startswith("| `")]
    assert sorted(shown) == sorted(rows)


def test_every_field_has_its_row(page: str) -> None:
    """The table of the job record has the fields that are read from it."""
    fields = {_RENAMED.get(name, name) for name in JobRecord.__struct_fields__} - {"extra"}
    rows = re.findall(r"^\| `(\w+)` \|", _section(page, "The job record"), re.MULTILINE)
    assert sorted(rows) == sorted(fields)


def test_every_script_has_its_row(page: str) -> None:
    """Each script is there with the first sentence of its header."""
    rows = []
    for name in script_names():
        header = itertools.takewhile(str.strip, script_source(name).splitlines()[1:])
        head = " ".join(line.strip() for line in header).removeprefix(f"{name}: ")
        rows.append(_row(f"`{name}`", re.sub(r" \(T\d[^)]*\)", "", head)))
    shown = [line for line in _section(page, "Scripts").splitlines() if line.startswith("| `")]
    assert shown == rows


def test_the_drawing_has_every_state_and_settlement(page: str) -> None:
    """The diagram of states names each status, and each way an attempt can be settled."""
    drawing = _section(page, "States").partition("```mermaid\n")[2].partition("```")[0]
    states = set(re.findall(r"\b[A-Z]{4,}\b", drawing))
    assert states == set(JobStatus)
    assert [kind for kind in SettleKind if not re.search(rf": .*\b{kind}\b", drawing)] == []
    ended = set(re.findall(r"^ *(\w+) --> \[\*\]", drawing, re.MULTILINE))
    assert ended == {status for status in JobStatus if status.is_terminal}


def test_the_schema_is_the_package_s(page: str) -> None:
    """The page says which prefix is the default."""
    assert f"`{rrq_protocol.DEFAULT_PREFIX}`" in page
