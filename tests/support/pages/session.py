"""One page, run from top to bottom in a folder of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from support.pages.checks import command_problems, words_of
from support.pages.markdown import Block
from support.pages.programs import PageProblem, Program, expected, normal

__all__ = ["PageSession", "commands_of"]

_DRIVER = Path(__file__).with_name("driver.py")
# Facts about the workspace rather than programs to run here; `checks` knows what is right of them.
_ONLY_CHECKED = frozenset({"make", "pip"})


def commands_of(block: Block) -> list[tuple[str, list[str]]]:
    """Return the commands of a console block, each with the output the page shows.

    Lines that start with ``$ `` are commands, what follows is output. Without any such line, every line is a
    command and no output is shown. A backslash at the end goes on in the next line.
    """
    lines = block.code.replace("\\\n", " ").splitlines()
    if not any(line.startswith("$ ") for line in lines):
        return [(line, []) for line in lines if words_of(line)]
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


class PageSession:
    """Runs blocks. Use as a context manager: what still runs at the end is ended as by Ctrl-C.

    Args:
        folder: Where the page's files are made and its commands run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = _environment(folder)
        self._background: list[Program] = []
        self._python: _Python | None = None

    def __enter__(self) -> "PageSession":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._python is not None:
            self._python.close()
        try:
            if error is None:
                for program in reversed(self._background):
                    program.stop()
        finally:
            for program in reversed(self._background):
                program.__exit__(None, None, None)
            if (self._folder / ".rrq" / "server.json").exists():
                with Program("rrq embedded stop --dir .rrq", self._folder, self._environment) as stopping:
                    stopping.wait()

    def run(self, block: Block) -> None:
        """Run one block, or write the file it is.

        Raises:
            PageProblem: It does not do what the page says.
        """
        if block.file_name is not None:
            path = self._folder / block.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            if self._python is None:
                self._python = _Python(self._folder, self._environment)
            self._python.run(block)
        elif block.language == "console":
            self._console(block)

    def _console(self, block: Block) -> None:
        wanted = int(block.note("exit code") or 0)
        for command, shown in commands_of(block):
            if problems := command_problems(command):
                raise PageProblem(f"{block.place}: {problems[0]}")
            if words_of(command)[0] in _ONLY_CHECKED:
                continue
            program = Program(command, self._folder, self._environment)
            if block.note("background") is not None:
                self._background.append(program)
                program.wait_for(expected(shown))
                continue
            with program:
                code = program.wait()
            _compare(block, command, program.output, shown, code, wanted)


def _compare(block: Block, command: str, output: str, shown: Sequence[str], code: int, wanted: int) -> None:
    if code != wanted:
        raise PageProblem(f"{block.place}: {command}: exit code {code}, not {wanted}; it printed:\n{output}")
    if shown and expected(shown).fullmatch(normal(output)) is None:
        page = "\n".join(shown)
        raise PageProblem(f"{block.place}: {command}: the page shows:\n{page}\nit printed:\n{output}")


class _Python:
    """One interpreter for all unnamed Python blocks of a page."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        answers, replies = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(_DRIVER), str(replies)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(replies,),
            text=True,
        )
        os.close(replies)
        self._answers = os.fdopen(answers)

    def run(self, block: Block) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([block.page, block.line, block.code]) + "\n")
        self._process.stdin.flush()
        answer = self._answers.readline()
        if not answer:
            raise PageProblem(f"{block.place}: the interpreter ended, exit code {self._process.wait()}")
        if answer.strip():
            raise PageProblem(f"{block.place}: {json.loads(answer)}")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._answers.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a reader: no settings of ours, the project's commands on PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RRQ_", "PYTEST_"))}
    commands = str(Path(sys.executable).parent)
    return {
        **kept,
        "PATH": f"{commands}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "HOME": str(folder),
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "RRQ_LOG_FORMAT": "pretty",
    }
