"""``rrq worker run --settings``: who runs the handlers, and how many at a time."""

from importlib.metadata import EntryPoint
from typing import Any

import click
import pytest

from rrq_orchestrator.commands import in_process
from rrq_orchestrator.commands.in_process import load_in_process
from rrq_protocol import RunnerConfig, Settings


class Handlers:
    """What a wheel that runs handlers returns."""

    def __init__(self, reference: str) -> None:
        self.names = ["echo"]
        self.max_in_flight = {"pkg:few": 2, "pkg:open": None}[reference]

    def open(self) -> Any:
        raise AssertionError("nobody opens it here")


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the wheel."""
    found = [EntryPoint("python", f"{__name__}:Handlers", "rrq.in_process")]
    monkeypatch.setattr(EntryPoint, "load", lambda self: Handlers)
    monkeypatch.setattr(in_process, "entry_points", lambda group: found if group == "rrq.in_process" else [])


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize(
    ("reference", "configured", "slots"),
    [("pkg:open", None, 10), ("pkg:few", None, 2), ("pkg:open", 5, 5), ("pkg:few", 5, 2), ("pkg:few", 1, 1)],
)
def test_the_default_runner_is_taken(reference: str, configured: int | None, slots: int) -> None:
    """Under its name, with the least of the limits that were given."""
    runners = {} if configured is None else {"py": RunnerConfig(app="a:b", max_in_flight=configured)}
    made = load_in_process(reference, Settings(default_runner_name="py", runners=runners))
    assert made["py"].handlers == {"echo"}
    assert {name: runner.max_in_flight for name, runner in made.items()} == {"py": slots}


def test_a_missing_wheel_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do."""
    monkeypatch.setattr(in_process, "entry_points", lambda group: [])
    with pytest.raises(click.exceptions.Exit) as ended:
        load_in_process("pkg:open", Settings())
    assert ended.value.exit_code == 2
    assert "pip install rrq-runner" in capsys.readouterr().err
