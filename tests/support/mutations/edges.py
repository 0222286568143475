"""Defects at the edges: what is read and sent, the runner, the producer, the command line."""

from collections.abc import Iterator

from support.mutations.mutant import Edit, Mutant

__all__ = ["MUTANTS"]


def _py(tag: str, title: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(tag, title, (Edit(file, old, new),), tuple(f"packages/{test}" for test in tests))


_CLAIMS = "rrq-protocol/tests/transitions/test_claim.py"
_RUNNER = "rrq-runner/tests"
_PRODUCER = "rrq-producer/tests"
_CLI = "rrq-cli/tests"


def _read_and_sent() -> Iterator[Mutant]:
    yield _py(
        "U6",
        "a record that cannot be read ends the claim, and the orchestrator with it",
        "rrq_protocol/transitions/claim.py",
        'malformed.append(Malformed(as_text(raw_id), queue, int(values[1] or 0), f"malformed: {problem}"))',
        'raise ValueError("unusable record") from problem',
        f"{_CLAIMS}::test_an_unreadable_field_is_never_guessed",
    )
    yield _py(
        "U6b",
        "a timeout of 0 is taken as it is",
        "rrq_protocol/transitions/claim.py",
        '    if seconds == 0:\n        raise ValueError("expected more than 0 seconds")\n',
        "",
        f"{_CLAIMS}::test_an_unreadable_field_is_never_guessed",
    )
    yield _py(
        "U7",
        "a timeout beyond all dates is taken as it is",
        "rrq_protocol/transitions/claim.py",
        "return min(seconds, MAX_TIMEOUT_SECONDS)",
        "return seconds",
        f"{_CLAIMS}::test_odd_but_readable_fields_run",
    )
    yield _py(
        "U9",
        "parameters that cannot be read become none",
        "rrq_protocol/transitions/claim.py",
        "        raw_params = strict_json.check_object(params, field)\n",
        "        try:\n            raw_params = strict_json.check_object(params, field)\n"
        '        except NotSerialisable:\n            raw_params = msgspec.Raw(b"{}")\n',
        f"{_CLAIMS}::test_an_unreadable_field_is_never_guessed",
    )
    yield _py(
        "U10",
        "a result without a JSON form is not answered at all",
        "rrq_protocol/connection.py",
        'problem, kind = f"the result cannot be sent: {error}", ErrorType.RESULT_NOT_SERIALISABLE\n',
        'return b""\n',
        "rrq-protocol/tests/test_connection_runner.py::test_an_unserialisable_result_is_answered_at_once",
    )
    yield _py(
        "U10b",
        "NaN becomes null",
        "rrq_protocol/strict_json.py",
        'if b"null" in text and _may_hold_non_finite(value):',
        "if False:",
        "rrq-protocol/tests/test_strict_json.py::test_numbers_json_does_not_have_are_refused",
    )
    yield _py(
        "U19",
        "a message over the limit is sent, for its reader to drop the connection",
        "rrq_protocol/frames.py",
        "    if size > max_frame_bytes:\n        raise FrameTooLarge(max_frame_bytes, size)\n"
        '    if framing == "length":\n',
        '    if framing == "length":\n',
        "rrq-protocol/tests/test_connection.py::test_an_oversized_request_is_refused_before_it_is_open",
    )
    yield _py(
        "U27d",
        "CANCELLED is no end to those who wait",
        "rrq_protocol/job.py",
        "_TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})",
        "_TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED})",
        "rrq-protocol/tests/test_job.py::test_three_states_are_terminal",
    )
    yield _py(
        "backoff",
        "the pause between attempts grows without a bound",
        "rrq_protocol/backoff.py",
        "bound = min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS))",
        "bound = policy.base_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS)",
        "rrq-protocol/tests/test_backoff.py::test_the_bound_doubles_up_to_the_cap",
    )
    yield _py(
        "wrong-job",
        "the response for another job is taken",
        "rrq_protocol/connection.py",
        "if job_id is not None and job_id != expected:",
        "if False:",
        "rrq-protocol/tests/test_connection.py::test_a_response_of_the_wrong_job_is_a_bad_message",
    )


def _runner() -> Iterator[Mutant]:
    yield _py(
        "U5b",
        "a runner outlives its orchestrator",
        "rrq_runner/parent.py",
        "    watch.start()\n",
        "",
        f"{_RUNNER}/test_parent.py::test_the_kernel_ends_the_runner_with_its_parent",
    )
    yield _py(
        "U10c",
        "what goes wrong with an answer is swallowed, and the request is left open",
        "rrq_runner/session.py",
        "            return self._connection.respond(failed)\n",
        '            return b""\n',
        f"{_RUNNER}/test_session.py::test_a_result_that_cannot_be_sent_fails_at_once",
    )
    yield _py(
        "U24",
        "whoever gets to a runner's socket is served",
        "rrq_runner/transports/peer.py",
        "if not known or uid in (os.getuid(), 0) or uid in allowed_uids:",
        "if True:",
        f"{_RUNNER}/transports/test_peer.py::test_strangers_are_refused",
    )
    yield _py(
        "U24b",
        "a refused stranger is served all the same",
        "rrq_runner/session.py",
        "            stream.abort()\n            return\n",
        "",
        f"{_RUNNER}/test_session.py::test_a_refused_peer_gets_nothing",
    )
    yield _py(
        "U24c",
        "a runner's socket is open to every user",
        "rrq_runner/transports/unix.py",
        "umask = os.umask(0o177)",
        "umask = os.umask(0)",
        f"{_RUNNER}/transports/test_unix.py::test_folder_and_socket_are_private",
    )
    yield _py(
        "proof",
        "a runner takes any 32 bytes for the orchestrator's proof",
        "rrq_runner/transports/gate.py",
        "if not hmac.compare_digest(self._received, self._keeper.expected):",
        "if False:",
        f"{_RUNNER}/transports/test_gate.py::test_a_stranger_hears_nothing",
    )
    yield _py(
        "own-limit",
        "a handler is tried once more than its own limit says",
        "rrq_runner/retry.py",
        "attempt >= self.max_retries",
        "attempt > self.max_retries",
        f"{_RUNNER}/test_retry.py::test_max_retries_is_the_number_of_attempts_in_all",
    )
    # Seen through an orchestrator and its runner, both processes: those have to run the changed code too.
    yield Mutant(
        "which-param",
        "params that do not fit are refused without a word on which of them",
        (
            Edit(
                "rrq_runner/execution.py",
                "                message=bounded_message(str(error)),\n"
                "                type=ErrorType.INVALID_PARAMS,\n",
                '                message="the params do not fit",\n'
                "                type=ErrorType.INVALID_PARAMS,\n",
            ),
        ),
        ("tests/integration/test_bad_input.py::test_jobs_that_cannot_run_are_told_and_hurt_no_neighbour",),
    )


def _producer() -> Iterator[Mutant]:
    blocked = 'self._pool.call(pack(("BLPOP", "rrq-no-such-list", {})), self._attempts())'
    yield _py(
        "U26",
        "a waiter blocks a connection that enqueues need (async)",
        "rrq_producer/aio.py",
        "await self._listener.next(signal, waiting.pause_s())",
        f"await {blocked.format(0.25)}",
        f"{_PRODUCER}/test_aio.py::test_waiters_never_hold_up_an_enqueue",
    )
    yield _py(
        "U26b",
        "a waiter blocks a connection that enqueues need (blocking)",
        "rrq_producer/producer.py",
        "signal.next(min(left_s, waiting.pause_s()))",
        blocked.format(1),
        f"{_PRODUCER}/test_producer.py::test_waiters_never_hold_up_an_enqueue",
    )
    yield _py(
        "own-repeat",
        "the repeat of an enqueue reports its own job as somebody else's",
        "rrq_producer/attempts.py",
        "self.repeated = self.repeated or (sent and not failure.replied)",
        "self.repeated = False",
        f"{_PRODUCER}/test_attempts.py::test_only_what_was_sent_without_an_answer_may_have_had_its_effect",
    )
    yield _py(
        "mixed-replies",
        "a connection goes back to the pool with a reply unread",
        "rrq_producer/pool.py",
        "if keep and leaves_open(error):",
        "if True:",
        f"{_PRODUCER}/test_pool.py::test_a_connection_with_unread_replies_is_not_kept",
    )


def _command_line() -> Iterator[Mutant]:
    yield _py(
        "U23",
        "text is cut by bytes, in the middle of a letter",
        "rrq_cli/text.py",
        "    room, kept = cells - 1, []\n",
        '    return text.encode()[: cells - 1].decode() + "…"\n    room, kept = cells - 1, []\n',
        f"{_CLI}/test_text.py::test_wide_characters_count_twice",
    )
    yield _py(
        "U23b",
        "what is stored is printed as it is, escape sequences too",
        "rrq_cli/text.py",
        "    if text.isascii() and text.isprintable():\n",
        "    if text:\n",
        f"{_CLI}/commands/test_job.py::test_hostile_text_is_harmless_everywhere",
    )
    yield _py(
        "U23c",
        "`rrq check` ends with 0, whatever it found",
        "rrq_cli/commands/check.py",
        "return ExitCode.OK if health.healthy else ExitCode.FINDING",
        "return ExitCode.OK",
        f"{_CLI}/commands/test_check.py::test_nobody_is_alive",
    )


MUTANTS = (*_read_and_sent(), *_runner(), *_producer(), *_command_line())
