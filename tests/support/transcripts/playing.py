"""Plays commands over the stored system and writes down what an operator sees."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, tzinfo
from itertools import groupby
from typing import Any
from unittest.mock import patch

from rich.cells import cell_len

from support.cli import Answer, World
from support.transcripts.scenes import Step
from support.transcripts.stored import NOW

__all__ = ["MODES", "judge", "play", "standing_clock"]

# A wide terminal, the usual one, and what programs get.
MODES = {"160": 160, "80": 80, "json": 80}
_LINE = 110
_CLOCKS = ("rrq_cli.views.jobs", "rrq_cli.views.dead_letters")


class _Standing(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return NOW.astimezone(tz) if tz is not None else NOW.replace(tzinfo=None)


@contextmanager
def standing_clock() -> Iterator[None]:
    """Have the commands of this process see :data:`NOW`; what scripts do goes by the server's clock."""
    now_ms = NOW.timestamp() * 1000
    with patch("rrq_cli.store.client.Store.now_ms", lambda store: now_ms):
        patches = [patch(f"{module}.datetime", _Standing) for module in _CLOCKS]
        for each in patches:
            each.start()
        try:
            yield
        finally:
            for each in patches:
                each.stop()


def play(world: World, steps: Sequence[Step], mode: str) -> Iterator[tuple[Step, Answer, str]]:
    """Run steps one after the other; yield each with its answer and what is written down of it."""
    environment = {"COLUMNS": str(MODES[mode]), "TZ": "UTC0"}
    for step in steps:
        if step.before is not None:
            step.before(world)
        words = [*step.words, "--json"] if mode == "json" and step.json else [*step.words]
        if step.child:
            answer = world.process(*words)
        else:
            with nullcontext() if step.real_time else standing_clock():
                answer = world.rrq(*words, environment=environment)
        yield step, answer, _written(world, step, words, answer, mode)


def judge(step: Step, answer: Answer, mode: str) -> None:
    """Raise if an answer is not one that any command may give."""
    assert answer.code == step.code, (step.words, answer.code, answer.err)
    assert not answer.controls, (step.words, answer.controls)
    assert "Traceback (most recent call last)" not in answer.err, (step.words, answer.err)
    if mode == "json" and step.json:
        assert answer.out.isascii(), step.words
        if answer.out or answer.code == 0:
            json.loads(answer.out)
        return
    for line in answer.out.split("\n") if not step.unfitted else ():
        if not line.lstrip().startswith("rrq "):  # a command to copy is never folded
            assert cell_len(line) <= MODES[mode], (step.words, line)


def _written(world: World, step: Step, words: Sequence[str], answer: Answer, mode: str) -> str:
    out = answer.out
    if mode == "json" and step.json and out:
        out = _dense(json.loads(out)) + "\n"
    for pattern, word in step.varying:
        out = re.sub(pattern, word, out)
    lines = [f"$ rrq {_quoted(words)}", *out.splitlines()]
    lines += [f"2> {line}" for line in answer.err.splitlines()]
    if answer.code:
        lines.append(f"[exit code {answer.code}]")
    return _steady(world, "\n".join(line.rstrip() for line in lines)) + "\n"


def _quoted(words: Sequence[str]) -> str:
    return " ".join(
        word if re.fullmatch(r"[\w./:=,@#-]+", word) and word.isascii() else ascii(word) for word in words
    )


def _dense(value: Any, indent: str = "") -> str:
    """Return JSON with as much on each line as it takes; equal neighbours in lists are counted."""
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_dense(each, inner)}" for key, each in value.items()]
    elif isinstance(value, list):
        runs = [(each, len(list(run))) for each, run in groupby(value)]
        parts = [_dense(each, inner) + (f" ({count} times)" if count > 1 else "") for each, count in runs]
    else:
        return json.dumps(value).replace("\x7f", "\\u007f")
    open_, close = "{}" if isinstance(value, dict) else "[]"
    lines = list(_filled(parts, _LINE - len(inner)))
    if len(lines) < 2 and "\n" not in "".join(lines):
        return open_ + "".join(lines) + close
    return "\n".join([open_, *(inner + line for line in lines), indent + close])


def _filled(parts: Sequence[str], room: int) -> Iterator[str]:
    """Yield parts with commas between them, those of one line together as far as there is room."""
    line = ""
    for part in parts:
        if line and ("\n" in line + part or len(line) + len(part) > room):
            yield line + ","
            line = part
        else:
            line += f", {part}" if line else part
    if line:
        yield line


def _steady(world: World, text: str) -> str:
    """Give what differs from run to run a name of the same width where it stands in a table."""
    for pattern, word in (
        (re.escape(world.keys.prefix), "rrq-test-".ljust(len(world.keys.prefix), "0")),
        (re.escape(str(world.folder)), "<folder>"),
        (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "<id>".ljust(26, "-")),
        (r"\b0[0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>".ljust(36, "-")),
        (r"(Redis|Valkey) \d+\.\d+\.\d+", "<server>"),
        (r"answers in [\d.]+ ms", "answers in <time>"),
        (r'"(ping_ms|expires_in_seconds)": [\d.]+', r'"\1": <number>'),
    ):
        text = re.sub(pattern, word, text)
    address = re.escape(world.url.removeprefix("redis://").removesuffix("/0"))
    return re.sub(rf"(redis|unix)://{address}(/0)?", "<redis>", text)
