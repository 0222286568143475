"""What the shipped scripts are compared with runs jobs, and has neither fence nor lease."""

from pathlib import Path

import pytest
import redis

from rrq_protocol import Keyspace, transitions
from support.goals import fencing
from support.goals.fencing import Build, Stale, builds, make_overlay, measure, without
from support.transitions import Transitions

pytestmark = pytest.mark.usefixtures("few")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure few jobs at a time."""
    monkeypatch.setattr(fencing, "_JOBS", 40)


@pytest.fixture
def both(redis_client: "redis.Redis", keyspace: Keyspace) -> tuple[Build, Build]:
    """Return the shipped build and the other one."""
    return builds(Transitions(redis_client, keyspace))


def _noted(build: Build) -> set[bytes]:
    """Return the fields of the jobs that only fencing needs."""
    t = build.t
    keys = list(t.client.scan_iter(f"{t.keyspace.prefix}:job:*", count=1000))
    return {name for key in keys for name in t.client.hkeys(key)} & {b"worker_id", b"claim_seq"}


def test_both_builds_complete_their_jobs(both: tuple[Build, Build]) -> None:
    """As often as they are measured, in the same batches; only the shipped one notes who had them."""
    for build, noted in zip(both, ({b"worker_id", b"claim_seq"}, set()), strict=True):
        for turn in (1, 2):
            assert min(measure(build)) > 0
            assert build.t.counts()["completed"] == turn * 40
        assert build.t.queued() == []
        assert _noted(build) == noted


def test_only_the_shipped_build_asks_for_a_lease(both: tuple[Build, Build]) -> None:
    """Without a row it gets no job, and so the comparison fails; the other one does not care."""
    shipped, bare = both
    shipped.t.run(transitions.deregister(shipped.t.keyspace, "a"))
    with pytest.raises(RuntimeError, match="expected 40 jobs completed"):
        measure(shipped)
    assert not bare.t.client.exists(bare.t.keyspace.workers)
    measure(bare)


def test_orchestrators_without_a_fence_read_what_theirs_answers(
    tmp_path: Path, both: tuple[Build, Build]
) -> None:
    """The scripts in their copy of the package answer jobs in the shipped form, all with the same token."""
    make_overlay(tmp_path)
    _, bare = both
    t = bare.t
    text = (tmp_path / "rrq_protocol" / "lua" / "claim.lua").read_text()
    for job_id in ("j1", "j2"):
        t.add(job_id, params={"n": job_id})
    call = transitions.claim(t.keyspace, "a", [transitions.ClaimRequest("default", "python", 2)], {})
    claimed = call.result(t.client.execute_command("EVAL", text, *call.evalsha_args()[2:]))
    assert [(job.id, job.claim_seq, job.function_name) for job in claimed.jobs] == [
        ("j1", 0, "f"),
        ("j2", 0, "f"),
    ]
    assert claimed.malformed == ()


def test_a_script_that_has_changed_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be taken out must be there once: else less would be left out than is said."""
    monkeypatch.setitem(fencing.WITHOUT, "claim", (("no such text", ""),))
    with pytest.raises(Stale, match=r"claim\.lua: expected once, found 0 times: 'no such text'"):
        without("claim")
