"""What ``rrq doctor`` does: ask the server, look at the keys, look again at what seems wrong; and repair.

Nothing is written unless a repair is asked for.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from rrq_orchestrator.audit import Finding, Level, Look, LookRefused, Report, Rules, drive
from rrq_orchestrator.audit.batches import text
from rrq_orchestrator.audit.findings import Identity
from rrq_orchestrator.audit.mend import mend, repairable
from rrq_orchestrator.audit.progress import progress
from rrq_orchestrator.audit.server import Check, ServerFacts, judge_server
from rrq_orchestrator.errors import RedisRefused
from rrq_orchestrator.store.redis import RedisLink
from rrq_protocol import Clock, Keyspace, RedisFault, classify_reply, reply_of
from rrq_protocol.transitions import RepairReply

__all__ = ["Diagnosis", "Examination"]

MOMENT_S = 1.0
"""The pause before the second look: longer than any job is on its way between two keys that are read."""

_MOST = 100_000
_SECTIONS = ("server", "replication", "persistence", "memory", "stats")
_NO_SUCH_SCRIPT = "0" * 40


class Diagnosis(msgspec.Struct, frozen=True):
    """The outcome.

    Attributes:
        checks: What was found out about the server.
        findings: What is wrong with the keys, seen twice; after a repair, what is left.
        left_out: How many more there may be.
        keys: Keys that were looked at.
        jobs: Job records among them.
        repairs: What came of the repairs, where they were asked for.
    """

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...] = ()
    left_out: int = 0
    keys: int = 0
    jobs: int = 0
    repairs: tuple[tuple[Finding, RepairReply], ...] = ()

    def worst(self) -> Level:
        """Return the worst level of all checks and findings."""
        levels = {each.level for each in self.checks} | {each.level for each in self.findings}
        return next(level for level in Level if level in levels or level is Level.OK)


class Examination:
    """One run of the doctor.

    Args:
        keyspace: The keys.
        link: A connection.
        rules: What is known of the installation.
        clock: Time.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        link: RedisLink,
        rules: Rules,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._keyspace, self._link, self._clock, self._sleep = keyspace, link, clock, sleep
        self._rules = rules
        self._look = Look(keyspace, rules, most=_MOST, payloads=True)

    async def diagnose(self, *, repair_after_s: float | None = None) -> Diagnosis:
        """Ask and look.

        Args:
            repair_after_s: Repair what is found the same so many seconds after it was confirmed; None changes
                nothing.

        Raises:
            RedisGone: Redis went away.
            RedisRefused: Redis does not accept us at all. A repair that is refused is a check that failed.
        """
        checks = tuple(judge_server(await self._ask()))
        repairs: tuple[tuple[Finding, RepairReply], ...] = ()
        mended: set[Identity] = set()
        try:
            report = await self._confirmed()
            while repair_after_s is not None and (begin_with := repairable(report.findings)):
                await self._sleep(repair_after_s)
                still = await self._still(begin_with)
                try:
                    done = await mend(still, self._keyspace, self._link)
                except RedisRefused as error:
                    checks = (*checks, Check("repair", Level.ERROR, str(error)))
                    break
                repairs += tuple(done)
                report = await self._confirmed()
                # One repair may be what another waits for; without a new one there is no point in going on.
                new = {each.identity for each, reply in done if reply is RepairReply.REPAIRED} - mended
                mended |= new
                if not new:
                    break
        except LookRefused as error:
            return Diagnosis((*checks, Check("keys", Level.ERROR, str(error))), repairs=repairs)
        return Diagnosis(checks, report.findings, report.left_out, report.keys, report.jobs, repairs)

    async def _confirmed(self) -> Report:
        """Look at everything, and a moment later again at what seems wrong: jobs in motion are no finding."""
        report = await drive(self._look.everything(), self._link, self._clock)
        report = msgspec.structs.replace(report, findings=(*report.findings, *await self._undone()))
        if not report.findings:
            return report
        await self._sleep(MOMENT_S)
        return msgspec.structs.replace(report, findings=await self._still(report.findings))

    async def _still(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return what is found again."""
        seen = [each for each in findings if each.rule != "I14"]
        undone = [each for each in await self._undone() if each in findings]
        return (*await drive(self._look.again(seen), self._link, self._clock), *undone)

    async def _undone(self) -> tuple[Finding, ...]:
        return await drive(progress(self._keyspace, self._rules), self._link, self._clock)

    # The server.

    async def _ask(self) -> ServerFacts:
        info: dict[str, str] = {}
        permitted = False
        for section in _SECTIONS:
            (reply,) = await self._link.batch([("INFO", section)])
            if isinstance(reply, bytes):
                permitted = True
                pairs = (line.partition(":") for line in text(reply).splitlines() if ":" in line)
                info.update((name, value) for name, _, value in pairs)
        (save,) = await self._link.batch([("CONFIG", "GET", "save")])
        return ServerFacts(
            info=info if permitted else None,
            save=text(save[1]) if isinstance(save, list) and len(save) == 2 else None,
            clock_ahead_s=await self._clock_ahead(),
            scripts=await self._scripts(),
            key_prefix=self._keyspace.prefix,
        )

    async def _clock_ahead(self) -> float | None:
        begun, before_ms = time.perf_counter(), self._clock.now_ms()
        (reply,) = await self._link.batch([("TIME",)])
        if isinstance(reply, Exception):
            return None
        halfway_ms = before_ms + (time.perf_counter() - begun) * 500
        return int(reply[0]) + int(reply[1]) / 1e6 - halfway_ms / 1000

    async def _scripts(self) -> str:
        """Return why scripts cannot be used. One that does not exist tells of the right to send its name."""
        commands: list[tuple[Any, ...]] = [
            ("EVALSHA", _NO_SUCH_SCRIPT, 0), ("EVAL", "return redis.call('TIME')", 0)
        ]  # fmt: skip
        problems = [reply_of(r) for r in await self._link.batch(commands) if isinstance(r, Exception)]
        return next((each for each in problems if classify_reply(each) is not RedisFault.NO_SCRIPT), "")
