"""Every command over a stored system as it may be found on a bad day (RELIABILITY.md S6, G21).

The transcripts are in ``golden``, one per scene and window; ``make transcripts`` writes them anew.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rrq_cli.root import root
from support.cli import World
from support.transcripts.playing import judge, play
from support.transcripts.scenes import SCENES

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("RRQ_TEST_WRITE", "") not in {"", "0"}
PLAYED = [(name, mode) for name, scene in SCENES.items() for mode in scene.modes]


@pytest.mark.parametrize(("scene", "mode"), PLAYED)
def test_commands_answer_as_written_down(scene: str, mode: str, stored: World) -> None:
    """Each command's answer is the one of the transcript, letter by letter, in a window of 160 columns, in
    one of 80, and as JSON; nothing in it drives a terminal, and no line is wider than the window.
    """
    parts = []
    for step, answer, text in play(stored, SCENES[scene].steps, mode):
        judge(step, answer, mode)
        parts.append(text)
    file = GOLDEN / f"{scene}.{mode}.txt"
    played = "\n".join(parts)
    if WRITE:
        file.write_text(played, encoding="utf-8")
    written = file.read_text(encoding="utf-8").split("\n")
    assert played.split("\n") == written, "`make transcripts` writes it anew; then look at what differs"


def test_every_command_is_played() -> None:
    """Each command of the tree, those of the other wheels too, is in a scene; each transcript is of one."""
    words = [step.words for scene in SCENES.values() for step in scene.steps]
    context = click.Context(root)
    missing = [path for path in _paths(root, context) if not any(each[: len(path)] == path for each in words)]
    assert not missing
    assert {file.name for file in GOLDEN.iterdir()} == {f"{name}.{mode}.txt" for name, mode in PLAYED}


def _paths(group: click.Group, context: click.Context) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, *path) for path in _paths(command, context))
        else:
            yield (name,)
