"""``rrq init``: a project that runs."""

import shlex
from pathlib import Path

import click

from rrq_cli.output import emit, shown
from rrq_cli.params import GlobalOptions, only_json
from rrq_cli.scaffold import write_project

__all__ = ["init"]


@click.command()
@only_json("init writes settings and reads none")
@click.argument("folder", metavar="[FOLDER]", default=".")
def init(options: GlobalOptions, folder: str) -> None:
    """Write a project that runs into FOLDER: rrq.toml, handlers.py, enqueue.py, and a line in .gitignore.

    Nothing is overwritten. Then `rrq dev` starts it, and `python enqueue.py` enqueues a job.

    JSON: {"folder", "written": [name], "commands": [text]}
    """
    path = Path(folder)
    written = write_project(path)
    commands = [] if folder == "." else [shlex.join(["cd", folder])]
    commands += ["rrq dev", "python enqueue.py  # in another terminal"]
    answer = {"folder": str(path.absolute()), "written": written, "commands": commands}

    def view(out: object, _: object) -> None:
        from rich.console import Console

        assert isinstance(out, Console)
        out.print(shown(f"written: {', '.join(written)}", "green"), overflow="fold")
        out.print(shown("next:", "dim"))
        for command in commands:
            out.print(shown(f"  {command}"), soft_wrap=True)

    emit(options.as_json, answer, view)
