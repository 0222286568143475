"""Lua scripts say what they take, give and keep true, and Redis can parse them."""

from pathlib import Path

import pytest
import redis

from support.rules import PACKAGES
from support.rules.text import header_problems

FOLDER = PACKAGES / "rrq-protocol" / "src" / "rrq_protocol" / "lua"
SCRIPTS = sorted(FOLDER.rglob("*.lua"))

GOOD = """--[[
sample: does nothing.

KEYS[1] a key
ARGV[1] an argument
Returns nothing
Invariant: nothing changes.
]]
"""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_scripts_have_headers(path: Path) -> None:
    """Each script's header names it, its keys and arguments, its reply and the invariant it keeps."""
    assert header_problems(path.relative_to(FOLDER).as_posix(), path.read_text()) == []


@pytest.mark.parametrize("line", [line for line in GOOD.splitlines() if line])
def test_a_missing_header_line_is_found(line: str) -> None:
    """Whichever line of a header is taken away, the header is not accepted."""
    assert header_problems("sample.lua", GOOD) == []
    assert header_problems("sample.lua", GOOD.replace(line + "\n", "", 1)) != []


def test_redis_parses_every_script(redis_client: "redis.Redis") -> None:
    """With its includes in place, each script compiles, and the server knows it by the name we give it."""
    from rrq_protocol import script_names, script_sha, script_source

    assert script_names()
    for name in script_names():
        assert "--@include" not in script_source(name)
        assert redis_client.script_load(script_source(name)) == script_sha(name)


def test_redis_refuses_a_broken_script(redis_client: "redis.Redis") -> None:
    """The check above can fail: a script that does not parse is refused."""
    with pytest.raises(redis.ResponseError, match="compiling script"):
        redis_client.script_load("local = 1")
