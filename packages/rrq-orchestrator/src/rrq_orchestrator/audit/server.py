"""Is the server fit to keep jobs? From what it says about itself; pure."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rrq_orchestrator.audit.facts import whole
from rrq_orchestrator.audit.findings import Level
from rrq_orchestrator.audit.versions import flaws_of

__all__ = ["Check", "ServerFacts", "judge_server", "product_of"]

_CLOCK_S = 5.0
_NEARLY_FULL_PERCENT = 90


class Check(msgspec.Struct, frozen=True):
    """One thing that was checked. ``text`` may hold anything the server said."""

    subject: str
    level: Level
    text: str


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says about itself; None where it may not be asked.

    Attributes:
        info: The fields of INFO.
        save: The snapshot rule, ``CONFIG GET save``; None where unknown.
        clock_ahead_s: The server's clock minus ours, in seconds.
        scripts: Why scripts cannot be used; empty where they can.
        key_prefix: What our keys start with.
    """

    info: Mapping[str, str] | None = None
    save: str | None = None
    clock_ahead_s: float | None = None
    scripts: str = ""
    key_prefix: str = "rrq"


def product_of(info: Mapping[str, str]) -> tuple[str, str]:
    """Return what the server is and its version."""
    if "valkey_version" in info:
        return "Valkey", info["valkey_version"]
    return info.get("server_name", "redis").capitalize(), info.get("redis_version", "unknown")


def judge_server(facts: ServerFacts) -> Sequence[Check]:
    """Return all checks, the good ones too."""
    if facts.info is None:
        checks = [
            Check(
                "server", Level.INFO, "not permitted to ask for INFO: version, persistence and memory unknown"
            )
        ]
    else:
        info = facts.info
        checks = [
            _version(info),
            *_role(info, facts.key_prefix),
            *_persistence(info, facts.save),
            *_memory(info),
        ]
    return (*checks, _clock(facts.clock_ahead_s), _scripts(facts.scripts))


def _version(info: Mapping[str, str]) -> Check:
    product, version = product_of(info)
    flaws = flaws_of(product, version)
    if flaws is None:
        return Check("version", Level.OK, f"{product} {version}")
    text = f"{product} {version} has {flaws}; may be patched by the distributor: its changelog tells"
    return Check("version", Level.WARNING, text)


def _role(info: Mapping[str, str], prefix: str) -> Iterator[Check]:
    role = info.get("role")
    if role == "slave":
        text = f"a replica of {info.get('master_host', '?')}: it refuses writes; give redis_dsn the primary"
        yield Check("role", Level.ERROR, text)
    elif role is not None:
        yield Check("role", Level.OK, f"primary, {info.get('connected_slaves', '0')} replicas")
    if info.get("redis_mode") == "cluster" and not ("{" in prefix and "}" in prefix.partition("{")[2][1:]):
        text = f"a cluster: our keys lie on all its nodes; key_prefix {{{prefix}}} puts them onto one"
        yield Check("cluster", Level.ERROR, text)


def _persistence(info: Mapping[str, str], save: str | None) -> Iterator[Check]:
    if "aof_enabled" not in info:
        yield Check("persistence", Level.INFO, "not permitted to ask")
        return
    broken = [
        name for name in ("aof_last_write_status", "rdb_last_bgsave_status", "aof_last_bgrewrite_status")
        if info.get(name, "ok") != "ok"
    ]  # fmt: skip
    for name in broken:
        yield Check("persistence", Level.ERROR, f"{name} is {info[name]}: the disk may be full")
    if info["aof_enabled"] == "1":
        if not broken:
            yield Check("persistence", Level.OK, "append-only file")
    elif save:
        text = f"snapshots only (save {save}): a crash loses the jobs since the last; set appendonly yes"
        yield Check("persistence", Level.WARNING, text)
    elif save is None:
        text = "no append-only file: a crash may lose jobs; set appendonly yes"
        yield Check("persistence", Level.WARNING, text)
    else:
        yield Check("persistence", Level.WARNING, "none: a restart loses all jobs; set appendonly yes")


def _room(most: int, used: int) -> Iterator[Check]:
    percent = 100 * used // most
    advice = "raise maxmemory, or keep results for less long"
    if percent >= 100:
        text = f"memory is full, {percent} % of maxmemory: new jobs are refused; {advice}"
        yield Check("memory", Level.ERROR, text)
    elif percent >= _NEARLY_FULL_PERCENT:
        text = f"memory is nearly full, {percent} % of maxmemory; then new jobs are refused; {advice}"
        yield Check("memory", Level.WARNING, text)


def _memory(info: Mapping[str, str]) -> Iterator[Check]:
    policy = info.get("maxmemory_policy")
    if policy is None:
        yield Check("memory", Level.INFO, "not permitted to ask")
        return
    most, used = (whole(info.get(name, "0"), 19) or 0 for name in ("maxmemory", "used_memory"))
    limited = most > 0
    full = list(_room(most, used)) if limited else []
    if policy == "noeviction":
        text = (
            f"{info.get('maxmemory_human', '?')} at most, noeviction" if limited else "noeviction, no limit"
        )
        yield from full or [Check("memory", Level.OK, text)]
    else:
        text = f"maxmemory-policy is {policy}: full memory deletes jobs; set it to noeviction"
        unlimited = "; there is no maxmemory now, so nothing is deleted yet"
        yield Check(
            "memory", Level.ERROR if limited else Level.WARNING, text + ("" if limited else unlimited)
        )
    if info.get("evicted_keys", "0") != "0":
        text = f"{info['evicted_keys']} keys were evicted since the server started; jobs may be among them"
        yield Check("memory", Level.WARNING, text)


def _clock(ahead_s: float | None) -> Check:
    if ahead_s is None:
        return Check("clock", Level.INFO, "not permitted to ask for TIME")
    where = "ahead of" if ahead_s > 0 else "behind"
    text = f"the server's clock is {abs(ahead_s):.1f} s {where} this machine's"
    if abs(ahead_s) > _CLOCK_S:
        return Check("clock", Level.WARNING, f"{text}; jobs are due by the server's, logs go by this one")
    return Check("clock", Level.OK, text)


def _scripts(problem: str) -> Check:
    if problem:
        return Check("scripts", Level.ERROR, f"{problem}; every change of a job is a script")
    return Check("scripts", Level.OK, "EVAL and EVALSHA are permitted")
