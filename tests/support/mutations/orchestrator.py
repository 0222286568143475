"""Defects in the orchestrator: what it does when Redis, a runner or it itself goes away."""

from collections.abc import Iterator

from support.mutations.mutant import Edit, Mutant

__all__ = ["MUTANTS"]

_TESTS = "packages/rrq-orchestrator/tests"


def _py(tag: str, title: str, module: str, old: str, new: str, *tests: str) -> Mutant:
    edit = Edit(f"rrq_orchestrator/{module}.py", old, new)
    return Mutant(tag, title, (edit,), tuple(f"{_TESTS}/{test}" for test in tests))


def _upstream() -> Iterator[Mutant]:
    yield _py(
        "U1",
        "one dropped connection ends the claiming for good, without a word",
        "claim",
        "                await self._unless_stopped(pauses.pause())\n",
        "                return\n",
        "test_claim.py::test_a_claim_whose_reply_was_lost_is_given_back",
    )
    yield _py(
        "U1b",
        "an orchestrator that fails ends with 0 and logs nothing",
        "commands/process",
        '        log.critical("orchestrator.crashed", exc_info=True)\n        return ExitCode.UNEXPECTED\n',
        "        return ExitCode.OK\n",
        "commands/test_process.py::test_a_defect_is_logged_with_its_traceback",
    )
    yield _py(
        "U1c",
        "a service that fails ends the orchestrator with 0",
        "orchestrator",
        "            return EXIT_UNEXPECTED\n        finally:",
        "            return EXIT_OK\n        finally:",
        "test_orchestrator.py::test_a_defect_in_a_service_ends_the_process_with_1",
    )
    yield _py(
        "U3",
        "ends that could not be written at a stop are passed over, with exit code 0",
        "farewell",
        '            self._log.error("orchestrator.abandoned", unwritten=self._settler.waiting)\n'
        "            return False\n",
        "            return True\n",
        "test_farewell.py::test_a_claim_without_an_answer_is_owed_an_end",
    )
    yield _py(
        "U4b",
        "a dead orchestrator is waited for minutes longer than its lease",
        "observation",
        "        return self._lease_s\n\n    def interrupted",
        "        return self._lease_s + 360\n\n    def interrupted",
        "test_observation.py::test_a_lease_that_does_not_change_for_its_whole_length_is_suspected",
    )
    yield _py(
        "U5",
        "runner processes outlive their orchestrator",
        "runners/guard",
        "        poll.register(self._control_fd, select.POLLIN)\n",
        "",
        "runners/test_guard.py::test_orphans_are_reaped_while_the_command_runs",
    )
    yield _py(
        "U11b",
        "the delay a handler asks for is not clamped",
        "decision",
        "pause_s = min(max(asked_s, 0.0), policy.backoff.cap_s)",
        "pause_s = asked_s",
        "test_decision.py::test_a_delay_the_handler_asks_for_is_taken_and_clamped",
    )
    yield _py(
        "U16",
        "a stop does not kill the process that ignores it",
        "runners/termination",
        "        await process.exited.wait()\n    return await kill(process)\n",
        "        await process.exited.wait()\n    return process.exited.is_set()\n",
        "runners/test_termination.py::test_the_stubborn_are_killed_after_the_grace",
    )
    yield _py(
        "U16b",
        "runners are stopped one after the other, so that a stop takes as long as all together",
        "orchestrator",
        "        stopping = asyncio.gather("
        "*(runner.stop(patient=patient) for runner in self.runners.values()))\n",
        "        async def one_by_one() -> None:\n"
        "            for runner in self.runners.values():\n"
        "                await runner.stop(patient=patient)\n"
        "        stopping = asyncio.ensure_future(one_by_one())\n",
        "test_orchestrator.py::test_runners_are_stopped_at_the_same_time",
    )
    yield _py(
        "U17b",
        "the time of an attempt runs while it waits for a place",
        "suspects",
        "        attempt.wait()\n",
        "",
        "test_suspects.py::test_suspects_start_in_order_as_places_come_free",
    )
    yield Mutant(
        "U18",
        "whatever was in a process that died is dead-lettered",
        (
            Edit(
                "rrq_orchestrator/decision.py",
                'return Decision(SettleKind.SUSPECT, detail, "crash", outcome="crash")',
                'return Decision(SettleKind.FAIL, detail, "crash", outcome="crash")',
            ),
            Edit(
                "rrq_orchestrator/decision.py",
                "return _charged(job, ended, policy, rng)",
                'return Decision(SettleKind.FAIL, ended.detail, "crash", outcome="crash")',
            ),
        ),
        (f"{_TESTS}/test_decision.py::test_every_end_at_every_stage_has_its_settlement",),
    )
    yield _py(
        "U22c",
        "each orchestrator begins to count when it starts, so that ticks in between are lost",
        "cron/service",
        "        now = due(entry.schedule, entry.missed, last_ms, moment.server_ms)\n",
        '        began_ms = self._told.setdefault(f"began {entry.name}", int(moment.server_ms))\n'
        "        now = due(entry.schedule, entry.missed, max(last_ms, began_ms), moment.server_ms)\n",
        "cron/test_service.py::test_an_entry_that_was_seen_misses_no_tick",
    )


def _named() -> Iterator[Mutant]:
    yield _py(
        "swallow",
        "an end that Redis cannot be told is forgotten",
        "settle",
        "        replies = await self._link.run_until_done(call)\n",
        "        try:\n            replies = await self._link.run(call)\n"
        "        except Exception:\n            return\n",
        "test_settle.py::test_ends_outlive_an_outage_of_redis",
    )
    yield _py(
        "outbox",
        "when Redis is back, the ends that gathered meanwhile are dropped",
        "settle",
        "        replies = await self._link.run_until_done(call)\n",
        "        outages = self._link._links.outages\n"
        "        replies = await self._link.run_until_done(call)\n"
        "        if self._link._links.outages != outages:\n            self._outbox.clear()\n",
        "test_settle.py::test_ends_outlive_an_outage_of_redis",
    )
    yield _py(
        "stale-untold",
        "nobody is told that an end came too late",
        "settle",
        "_LOUD = frozenset({SettleReply.STALE, SettleReply.GONE, SettleReply.WRONG_TYPE})",
        "_LOUD: frozenset[SettleReply] = frozenset()",
        "test_settle.py::test_an_end_that_came_too_late_is_told",
    )
    yield _py(
        "suspects-held-up",
        "suspects wait until an ordinary slot is free, though places for them are",
        "claim",
        "        if not room:\n            book.no_place()",
        "        if room:\n            book.no_place()",
        "test_suspect_book.py::test_suspects_are_taken_while_no_ordinary_slot_is_free",
    )
    yield _py(
        "burst-ends-early",
        "a burst ends while the end of an attempt, which puts its job back, is not yet written",
        "claim",
        "not self._dispatcher.attempts and not self._settler.waiting",
        "not self._dispatcher.attempts",
        "test_claim.py::test_burst_does_not_end_before_what_comes_back_has_run",
    )
    yield _py(
        "lost-claim",
        "jobs of a claim whose answer was lost stay claimed, and nobody runs them",
        "claim",
        "            self.in_doubt = doubted or error.sent\n",
        "            self.in_doubt = False\n",
        "test_claim.py::test_a_claim_whose_reply_was_lost_is_given_back",
    )
    yield _py(
        "lost-claim-ends",
        "jobs that have ended, and only wait to be written, are given back after a lost answer",
        "review",
        "known = attempts | self._settler.tokens()",
        "known = attempts",
        "test_claim.py::test_an_end_that_waits_to_be_written_is_not_given_back",
    )
    yield _py(
        "fenced-untold",
        "an orchestrator that was fenced keeps its id",
        "claim",
        "        if reply.fenced:\n            raise Fenced(owner)\n",
        "        if reply.fenced:\n            self.passes.done()\n"
        "            await self._changed_within(_SLOWEST_POLL_S)\n            return\n",
        "test_claim.py::test_a_fenced_orchestrator_claims_nothing_and_says_so",
    )
    yield _py(
        "neighbours",
        "a crash is charged to all jobs that were in the process",
        "decision",
        "if ended.shared and not job.suspect:",
        "if False:",
        "test_decision.py::test_every_end_at_every_stage_has_its_settlement",
    )
    yield _py(
        "together",
        "suspects run among others although they have places of their own",
        "suspects",
        "where = isolation if isolation is not None and isolation.open(waiting) else runner",
        "where = runner",
        "test_suspects.py::test_suspects_start_in_order_as_places_come_free",
    )
    yield _py(
        "hoarding",
        "an orchestrator takes suspects it has no place for, while others have",
        "suspects",
        "name: max(0, room - len(self._waiting.get(name, ())))",
        "name: room",
        "test_suspects.py::test_no_more_are_taken_than_there_are_places",
    )
    yield _py(
        "side-by-side",
        "the jobs of a process that hung up start anew while it works on",
        "runners/supervisor",
        "            await peer.put_down()\n",
        "",
        "runners/test_pool.py::test_a_process_that_hangs_up_is_ended_before_its_requests_are_lost",
    )
    yield _py(
        "retries",
        "one attempt more than max_retries",
        "decision",
        "    if attempt >= allowed:\n",
        "    if attempt > allowed:\n",
        "test_decision.py::test_the_last_attempt_goes_to_the_dead_letter_queue_and_is_charged",
    )
    yield _py(
        "crashes",
        "one crash more than max_crashes",
        "decision",
        "    if crashes >= policy.max_crashes:\n",
        "    if crashes > policy.max_crashes:\n",
        "test_decision.py::test_crashes_have_a_budget_of_their_own",
    )
    yield _py(
        "gap",
        "an observer that was stopped itself calls others dead",
        "observation",
        "        if unseen_s > self._gap_s:\n",
        "        if unseen_s > 3600:\n",
        "test_observation.py::test_a_gap_in_the_observers_own_view_starts_all_over",
    )
    yield _py(
        "storm",
        "after an outage of Redis, the silence during it counts",
        "recovery",
        "                self._observer.interrupted()\n",
        "                pass\n",
        "test_recovery.py::test_nobody_is_called_dead_for_an_outage",
    )
    yield _py(
        "hung",
        "an orchestrator whose event loop hangs goes on beating",
        "heartbeat",
        "if time.monotonic() - self._looped_s < self._times.lease_s / 2:",
        "if True:",
        "test_heartbeat.py::test_an_orchestrator_that_hangs_stops_beating",
    )
    yield _py(
        "squatter",
        "whoever answers on a runner's port is taken for the runner",
        "runners/nonce",
        "if not hmac.compare_digest(answer, self._theirs_to_show):",
        "if False:",
        "runners/test_nonce.py::test_a_stranger_at_the_address_gets_no_frame",
    )
    yield _py(
        "echo",
        "who repeats our requests is taken for a runner that broke, and jobs pay for it",
        "runners/channel",
        " and not event.echoed",
        "",
        "runners/test_pool_external.py::test_an_echo_at_the_port_is_a_failed_start",
    )
    yield _py(
        "told-last",
        "a failure that its runner calls the last is retried",
        "decision",
        "    if fatal:\n",
        "    if fatal and (error is None or error.code is None):\n",
        "test_decision.py::test_a_failure_its_runner_calls_fatal_is_the_last",
    )


MUTANTS = (*_upstream(), *_named())
