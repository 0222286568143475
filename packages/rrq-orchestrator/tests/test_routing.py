"""Which runner executes a job."""

import pytest

from rrq_orchestrator.routing import Routes

ROUTES = Routes("python", {"media": "rust"})


@pytest.mark.parametrize(
    ("function", "queue", "runner", "handler"),
    [
        ("send", "default", "python", "send"),
        ("resize", "media", "rust", "resize"),
        ("go#resize", "media", "go", "resize"),
        ("go#a#b", "default", "go", "a#b"),
    ],
)
def test_prefix_then_queue_then_default(function: str, queue: str, runner: str, handler: str) -> None:
    """A prefix wins over the queue's route, which wins over the default; it is cut off once."""
    assert ROUTES.of_job(function, queue) == (runner, handler)


def test_a_queue_without_a_route_has_the_default_runner() -> None:
    """Claims count capacity by the runner a queue routes to."""
    assert (ROUTES.of_queue("media"), ROUTES.of_queue("other")) == ("rust", "python")
