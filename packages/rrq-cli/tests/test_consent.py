"""What is deleted was agreed to."""

import pytest

from rrq_cli.consent import require_consent
from rrq_cli.exits import UsageProblem
from support.cli import World
from support.terminal import Terminal


def test_a_program_has_to_say_yes() -> None:
    """Without a person to ask, only --yes will do."""
    require_consent("delete it", yes=True, as_json=True)
    for as_json in (True, False):
        with pytest.raises(UsageProblem, match=r"this would delete it.*--yes"):
            require_consent("delete it", yes=False, as_json=as_json)


@pytest.mark.parametrize(("answer", "left"), [("n\n", 1), ("\n", 1), ("y\n", 0)])
def test_a_person_is_asked(world: World, answer: str, left: int) -> None:
    """On a terminal the deed and its extent are shown; only y does it."""
    world.enqueue()
    with Terminal(["queue", "purge", "default"], world.environment, world.folder) as terminal:
        terminal.wait_for("Delete 1 waiting job of queue default? This cannot be undone. [y/N]")
        terminal.type(answer)
        code = terminal.wait_for_end()
    assert (code == 0) == (left == 0)
    assert world.redis.zcard(world.keys.queue("default")) == left
