"""A defect, as text to replace, and the tests that are there to catch it."""

from dataclasses import dataclass
from pathlib import Path

from support.rules import PACKAGES, wheel_name

__all__ = ["Edit", "Mutant", "Stale", "seed"]


class Stale(Exception):
    """The code a mutant wants to change is not there (any more); the text says what to do."""


@dataclass(frozen=True)
class Edit:
    """One replacement.

    Attributes:
        file: The file, from its package on: ``rrq_protocol/lua/claim.lua``.
        old: Text that is in it exactly once.
        new: What stands there instead.
    """

    file: str
    old: str
    new: str

    @property
    def package(self) -> str:
        """The package the file is in."""
        return self.file.partition("/")[0]


@dataclass(frozen=True)
class Mutant:
    """A defect seeded into our code.

    Attributes:
        tag: Its name in tables and node ids; ``U7`` is upstream's defect of that number, ``U7b`` another form
            of it.
        title: What is wrong.
        edits: What makes it so.
        caught_by: Node ids, from the repository's root, of the tests that are there to fail.
    """

    tag: str
    title: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages it changes, sorted."""
        return tuple(sorted({edit.package for edit in self.edits}))

    def __str__(self) -> str:
        """Return tag and title."""
        return f"{self.tag}: {self.title}"


def seed(mutant: Mutant, folder: Path) -> None:
    """Change the copies of the packages in ``folder``.

    Raises:
        Stale: A text to replace is not there exactly once, or what results is no Python.
    """
    for edit in mutant.edits:
        path = folder / edit.file
        where = PACKAGES / wheel_name(edit.package) / "src" / edit.file
        if not path.is_file():
            raise Stale(f"{mutant}\n{where} is gone; seed the defect where its code is now")
        text = path.read_text()
        if (times := text.count(edit.old)) != 1:
            raise Stale(
                f"{mutant}\nexpected this text once in {where}, found it {times} times; "
                f"seed the defect anew:\n{edit.old}"
            )
        changed = text.replace(edit.old, edit.new)
        if path.suffix == ".py":
            try:
                compile(changed, str(path), "exec")
            except SyntaxError as error:
                raise Stale(f"{mutant}\nthe replacement makes no Python of {where}: {error}") from error
        path.write_text(changed)
