"""What the fencing token and the lease cost: the scripts that are shipped against the same ones without."""

import random
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import rrq_protocol
from rrq_protocol import Job, Keyspace, ScriptCall, transitions
from rrq_protocol.scripts import script_source
from rrq_protocol.transitions import ClaimRequest, Lease, SettleKind, Settlement
from support.chaos.slots import marked
from support.goals.report import Report
from support.goals.scripts import cpu_s, server
from support.goals.site import Site, site
from support.transitions import Transitions, run

__all__ = [
    "WITHOUT",
    "Build",
    "Cost",
    "Stale",
    "builds",
    "fencing",
    "make_overlay",
    "measure",
    "without",
]

_BATCH, _JOBS, _MANY, _MOST = 16, 320, 2_000, 0.05
_NO_TOKEN = "row[ID], row[UNIQUE] = nil, nil"
_SAME_TOKEN = f"{_NO_TOKEN}\n  table.insert(row, 2, seq)"
T = TypeVar("T")

WITHOUT: dict[str, tuple[tuple[str, str], ...]] = {
    "claim": (
        # Whoever asks gets jobs, dead or alive.
        (
            'if spoilt or not redis.call("ZSCORE", KEYS[1], me) then return { "fenced" } end',
            'if spoilt then return { "fenced" } end',
        ),
        # No token is read, judged or written, and no owner.
        ('local FIELDS = { "status", "claim_seq", ', 'local FIELDS = { "status", '),
        (
            "local STATUS, SEQ, QUEUE_NAME, FUNCTION, TIMEOUT = 1, 2, 3, 4, 9",
            "local STATUS, QUEUE_NAME, FUNCTION, TIMEOUT = 1, 2, 3, 8",
        ),
        (
            "local CANCEL, SUSPECT, ID, UNIQUE = 16, 17, 18, 19",
            "local CANCEL, SUSPECT, ID, UNIQUE = 15, 16, 17, 18",
        ),
        (
            """\
  local seq = row[SEQ]
  if seq and (#seq > 15 or string.find(seq, "%D") or seq == "" or seq == LAST_SEQ) then return "claim_seq" end
""",
            "",
        ),
        ("  local seq = whole((row[SEQ] or 0) + 1)\n", '  local seq = "0"\n'),
        ("row[SEQ], row[ID], row[UNIQUE] = seq, nil, nil", _NO_TOKEN),
        (
            '"status", "ACTIVE", "worker_id", me, "start_time", now_text, "claim_seq", seq)',
            '"status", "ACTIVE", "start_time", now_text)',
        ),
        # Nobody knows who has what in hand.
        ("        leased[#leased + 1] = now_int\n        leased[#leased + 1] = job_id\n", ""),
        (
            (
                '    if #leased > 0 and 2 * redis.call("ZADD", KEYS[2], unpack(leased)) < #leased '
                "then count_anew(#leased / 2) end\n"
            ),
            "",
        ),
        (
            """\
-- Where the numbers begin again, they go on from one that no claim had; a time in us, within 15 digits.
local function count_anew(latest)
  for i = #jobs - latest + 1, #jobs do
    local job_id, row = jobs[i][1], jobs[i][4]
    if row[SEQ] == "1" then
      row[SEQ] = whole(now * 1000 % 1e15)
      redis.call("HSET", prefix .. ":job:" .. job_id, "claim_seq", row[SEQ])
      if lock_extension ~= "" then
        redis.call("SET", prefix .. ":lock:job:" .. job_id, me .. ":" .. row[SEQ], "KEEPTTL")
      end
    end
  end
end

""",
            "",
        ),
        (
            "locks, leased, gone = #found > 0 and locks_of(found), {}, {}",
            "locks, gone = #found > 0 and locks_of(found), {}",
        ),
    ),
    "settle": (
        (
            """\
"status", "worker_id", "claim_seq", "job_unique_key", "last_error",
    "start_time")""",
            '"status", "job_unique_key", "last_error")',
        ),
        (
            "local STATUS, WORKER, SEQ, UNIQUE, LAST_ERROR, STARTED = 1, 2, 3, 4, 5, 6",
            "local STATUS, UNIQUE, LAST_ERROR = 1, 2, 3",
        ),
        (
            """\
  if held[WORKER] ~= me then
    -- Someone else's now, or nobody's: our index entry is the only thing that may go.
    ended[#ended + 1] = id
    if held[STATUS] or held[WORKER] then return "stale" end
""",
            "  if not held[STATUS] then\n",
        ),
        ('  if (held[SEQ] or "") ~= seq then return "stale" end\n', ""),
        ('  if started ~= "" and held[STARTED] ~= started then return "stale" end\n', ""),
        ("  taken[id] = true\n  ended[#ended + 1] = id\n", "  taken[id] = true\n"),
        ("remove_members(KEYS[1], ended)\n", ""),
    ),
}
"""By script, what is taken out of its text: each piece is there once, and what takes its place."""


class Stale(Exception):
    """A piece that is to be taken out is not in the shipped text, or more than once; the text says which."""


def without(script: str) -> str:
    """Return the text of a script without fencing and lease.

    Raises:
        Stale: The shipped text has changed.
    """
    text = script_source(script)
    for old, new in WITHOUT[script]:
        if (found := text.count(old)) != 1:
            raise Stale(f"{script}.lua: expected once, found {found} times: {old!r}")
        text = text.replace(old, new)
    return text


class Build(NamedTuple):
    """Scripts that a server knows by these names, and the jobs they are for."""

    t: Transitions
    fenced: bool
    claim: str
    settle: str


class Cost(NamedTuple):
    """Of as many jobs as in any other turn."""

    wall_s: float
    cpu_s: float


def fencing(report: Report, rng: random.Random, alternations: int) -> None:
    """G23: what jobs cost all processes together, with and without: where the processors are the limit,
    throughput is lower by as much. In turns, and short ones, so that whatever else the machine does slows
    both sides. What the calls cost Redis alone is told beside it.
    """
    calls, loop, whole, walls = [], [], [], []
    with server() as t:
        both = builds(t)
        for build in both:
            measure(build)  # until the server has its memory
        for number in range(alternations):
            with_it, without_it = _in_turn(number, *(partial(measure, build) for build in both))
            calls.append(with_it.cpu_s / without_it.cpu_s - 1)
            loop.append(1 - without_it.wall_s / with_it.wall_s)
    with TemporaryDirectory(prefix="rrq-overlay-") as folder:
        make_overlay(Path(folder))
        with site(rng, 1) as shipped, site(rng, 1, overlay=Path(folder)) as bare:
            for place in (shipped, bare):
                place.stage.client.config_set("appendfsync", "everysec")
                _work_off(place)
            for number in range(alternations):
                with_it, without_it = _in_turn(number, partial(_work_off, shipped), partial(_work_off, bare))
                whole.append(1 - without_it.cpu_s / with_it.cpu_s)
                walls.append(1 - without_it.wall_s / with_it.wall_s)
            noted = [_has_token(place) for place in (shipped, bare)]
    _tell(report, "jobs per processor time of all processes", whole)
    _tell(None, "processor time of Redis for the calls of a job", calls)
    _tell(None, "jobs per second of an orchestrator", walls)
    _tell(None, "jobs per second of a client that does nothing but call", loop)
    report.demand("G23", "the other build has no tokens", met=noted == [True, False])


def _in_turn(number: int, first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """Call both, every other time the second one first."""
    if number % 2:
        later = second()
        return first(), later
    return first(), second()


def _tell(report: Report | None, what: str, shares: Sequence[float]) -> None:
    low, half, high = statistics.quantiles(shares, n=4)
    text = f"fencing and lease cost {half:.1%} of {what}: half of {len(shares)} turns {low:.1%} to {high:.1%}"
    if report is None:
        print(f"  {text}", flush=True)
    else:
        report.demand("G23", f"{text} (demanded: less than {_MOST:.0%})", met=half < _MOST)


def make_overlay(folder: Path) -> None:
    """Put a copy of the protocol's package there, which has the other scripts. What they answer is shaped as
    the shipped ones': with a token that is always the same.
    """
    copy = folder / rrq_protocol.__name__
    shutil.copytree(Path(rrq_protocol.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for script in WITHOUT:
        (copy / "lua" / f"{script}.lua").write_text(without(script).replace(_NO_TOKEN, _SAME_TOKEN))


def _work_off(place: Site) -> Cost:
    """Return what it takes a site to complete jobs that were all there before."""
    client, keyspace = place.stage.client, place.stage.keyspace
    pids = [place.stage.server.pid, *marked(place.stage.mark)]
    before = _completed(place)
    run(client, transitions.pause(keyspace, "default"))
    place.enqueue("quick", _MANY)
    cpu, began = sum(map(_used_s, pids)), time.monotonic()
    run(client, transitions.resume(keyspace, "default"))
    place.wait("all jobs to end", lambda: _completed(place) == before + _MANY, step_s=0.02)
    return Cost(time.monotonic() - began, sum(map(_used_s, pids)) - cpu)


def _used_s(pid: int) -> float:
    """Return the processor time of a process, of all its threads."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def _completed(place: Site) -> int:
    return int(place.stage.client.hget(place.stage.keyspace.stats("default"), "completed") or 0)


def _has_token(place: Site) -> bool:
    return bool(place.stage.client.hexists(place.stage.keyspace.job("j0"), "claim_seq"))


def builds(t: Transitions) -> tuple[Build, Build]:
    """Return the shipped build and the other one, each with keys of its own."""
    load = t.client.script_load
    bare = Transitions(t.client, Keyspace(f"{t.keyspace.prefix}:bare"))
    t.register("a")
    return (
        Build(t, True, load(script_source("claim")), load(script_source("settle"))),
        Build(bare, False, load(without("claim")), load(without("settle"))),
    )


def measure(build: Build) -> Cost:
    """Claim and complete jobs with the scripts of a build; with a lease, one beat is among it.

    Raises:
        RuntimeError: Not every job was completed.
    """
    t, before = build.t, build.t.counts().get("completed", 0)
    t.enqueue(*(Job("f", {"n": n}) for n in range(_JOBS)))
    ended = 0
    cpu, began = cpu_s(t), time.monotonic()
    if build.fenced:
        t.run(transitions.heartbeat(t.keyspace, Lease("a", 10_000, b'{"status":"running"}', 20_000)))
    while held := _claim(build):
        ended += _complete(build, held)
    cost = Cost(time.monotonic() - began, cpu_s(t) - cpu)
    if not ended == _JOBS == t.counts()["completed"] - before:
        raise RuntimeError(f"expected {_JOBS} jobs completed, got {ended} answers and {t.counts()}")
    return cost


def _claim(build: Build) -> list[tuple[str, int]]:
    """Return ids and tokens. Of the reply is read what ends the jobs, so that a slow reader hides nothing."""
    t, request = build.t, ClaimRequest("default", "python", _BATCH)
    reply = _send(t, transitions.claim(t.keyspace, "a", [request], {"python": _BATCH}), build.claim)
    jobs = reply[2] if reply[0] == b"ok" else []
    return [(entry[0].decode(), int(entry[3][1]) if build.fenced else 0) for entry in jobs]


def _complete(build: Build, held: Sequence[tuple[str, int]]) -> int:
    """End jobs; return how many were."""
    t, complete = build.t, SettleKind.COMPLETE
    ends = [Settlement(job_id, seq, complete, "default", "1", ttl_seconds=3600) for job_id, seq in held]
    replies: list[bytes] = _send(t, transitions.settle(t.keyspace, "a", ends), build.settle)
    return replies.count(b"ok")


def _send(t: Transitions, call: ScriptCall[Any], sha: str) -> Any:
    _, _, *rest = call.evalsha_args()
    return t.client.execute_command("EVALSHA", sha, *rest)
