"""Scripts as values: sources with their includes, names by content, calls that wait to be sent."""

import hashlib

import pytest

from rrq_protocol import ScriptCall, script_names, script_sha, script_source

ALL = (
    "anchor", "cancel", "claim", "deregister", "drain", "enqueue", "fence", "heartbeat", "pause", "purge",
    "recover", "register", "repair", "requeue", "rescore", "settle",
)  # fmt: skip


def test_all_scripts_are_shipped() -> None:
    """The wheel brings one script per transition, named as the transition."""
    assert script_names() == ALL


@pytest.mark.parametrize("name", ALL)
def test_includes_are_put_in_place(name: str) -> None:
    """A source is whole: no include is left, none comes twice, and none of their headers is sent. All but the
    cheapest script include the clock.
    """
    source = script_source(name)
    assert "--@include" not in source
    assert source.count("--[[") == 1
    assert source.count("local function clock_ms(") == (name != "heartbeat")
    assert source.startswith(f"--[[\n{name}: ")


@pytest.mark.parametrize("name", ALL)
def test_a_script_is_known_by_its_content(name: str) -> None:
    """Two versions of a wheel can share a Redis: a changed script has another name (F98)."""
    assert script_sha(name) == hashlib.sha1(script_source(name).encode()).hexdigest()


def test_there_are_no_other_scripts() -> None:
    """A name that is none is an error, not an empty script."""
    with pytest.raises(FileNotFoundError):
        script_source("no_such_script")


def test_a_call_is_flat_and_counts_its_keys() -> None:
    """Both commands carry keys and arguments as Redis wants them; the reply is read by the call itself."""
    call = ScriptCall("fence", ("k1", "k2"), ("a", 5, b"c"), lambda reply: reply == 1)
    assert call.evalsha_args() == ("EVALSHA", script_sha("fence"), 2, "k1", "k2", "a", 5, b"c")
    assert call.eval_args() == ("EVAL", script_source("fence"), 2, "k1", "k2", "a", 5, b"c")
    assert (call.result(1), call.result(0)) == (True, False)
