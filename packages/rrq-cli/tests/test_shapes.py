"""The JSON of every command is stable: fields may be added, never renamed."""

import msgspec
import pytest

from rrq_cli import shapes, timeline

FIELDS = {
    "QueueInfo": "name ready later paused problem",
    "QueueStats": "active oldest_ready_age_seconds totals mean_wait_seconds mean_run_seconds per_second_1m "
    "per_second_1h per_second_24h completed_per_minute completed_per_hour scanned",
    "Totals": "enqueued started completed failed retried cancelled recovered released requeued",
    "JobRow": "id status function_name queue_name attempts max_attempts enqueued_at due_at started_at "
    "finished_at worker_id last_error problem",
    "JobDetail": "params result dlq_name crashes claim_seq expires_in_seconds failed_attempts fields",
    "JobList": "jobs looked_at complete total",
    "QueueContent": "name ready later paused offset jobs",
    "Trace": "id status function_name queue_name events waited_seconds ran_seconds",
    "TraceEvent": "what at attempt wait_seconds run_seconds worker runner error_type error",
    "DeadLetterStats": "total looked_at complete groups",
    "DeadLetterGroup": "count queue_name function_name error newest_at newest_id",
    "Requeued": "dry_run ids results",
    "Purged": "dry_run ids results problem",
    "Waited": "id status timed_out result error",
    "Why": "id status reason text stuck advice",
    "Drained": "id result gone",
    "Generated": "jobs orchestrators queues",
    "Cleared": "dry_run results orchestrators",
    "Stressed": "enqueued seconds jobs_per_second call_ms_p50 call_ms_p95 call_ms_p99 ended ended_per_second",
    "Health": "healthy redis redis_version ping_ms findings orchestrators",
    "OrchestratorInfo": "id state lease_seconds_left active_jobs concurrency_limit queues host pid version "
    "reported_at problem status runners",
    "RunnerInfo": "name state capacity free",
    "Submitted": "id queue_name created status result error",
}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_no_field_disappears(name: str) -> None:
    """Programs that read `--json` keep finding what they know."""
    struct: type[msgspec.Struct] = getattr(timeline if name.startswith("Trace") else shapes, name)
    assert set(FIELDS[name].split()) <= set(struct.__struct_fields__)


def test_every_shape_is_listed() -> None:
    """A new shape is written down here too."""
    assert {*shapes.__all__, *timeline.__all__} - {"trace_of"} == set(FIELDS)


def test_waiting_is_ready_and_later() -> None:
    """Jobs in a queue are those that are due and those that are not yet."""
    assert shapes.QueueInfo(name="q", ready=2, later=3).waiting == 5
