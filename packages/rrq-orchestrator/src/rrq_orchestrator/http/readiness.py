"""Whether an orchestrator can take jobs now, and why not. Pure."""

from collections.abc import Iterator

from rrq_orchestrator.http.facts import Facts, RunnerFacts

__all__ = ["unready_reasons"]


def unready_reasons(facts: Facts) -> list[str]:
    """Return why no job is taken; empty: it is ready. One runner that works is enough."""
    return list(_found(facts))


def _found(facts: Facts) -> Iterator[str]:
    if facts.stopping:
        yield "stopping: claims nothing more"
    if facts.redis_refuses_writes:
        yield "Redis refuses writes"
    elif not facts.redis_connected:
        yield "Redis does not answer"
    elif facts.redis_refuses:
        yield f"Redis refuses what jobs need: {facts.redis_refuses}"
    elif not facts.registered:
        yield "not registered in Redis yet"
    for service in facts.failing:
        yield f"service {service} fails; see its service.failed in the log"
    if facts.outbox_full:
        size = facts.outbox_bytes / 1024**2
        yield f"{facts.outbox} ends of attempts wait for Redis, {size:.0f} MiB"
    if not facts.runners:
        yield "no runner is configured"
    elif not any(runner.state == "ready" for runner in facts.runners):
        yield from (_trouble(runner) for runner in facts.runners)


def _trouble(runner: RunnerFacts) -> str:
    text = f"runner {runner.name} is {runner.state}"
    return f"{text}: {runner.last_error}" if runner.state == "broken" and runner.last_error else text
