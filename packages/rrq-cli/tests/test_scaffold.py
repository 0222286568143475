"""A new project: what is written, and what is left alone."""

from pathlib import Path

import pytest

from rrq_cli.exits import CliError
from rrq_cli.scaffold import FILES, write_project


def test_all_files_are_written(tmp_path: Path) -> None:
    """Into a folder that may not exist yet; git is told what not to see."""
    folder = tmp_path / "new" / "project"
    assert write_project(folder) == [*FILES, ".gitignore"]
    assert {path.name for path in folder.iterdir()} == {*FILES, ".gitignore"}
    assert (folder / ".gitignore").read_text() == ".rrq/\n"


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    """Whichever file is there, a dangling link too: nothing is written."""
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(CliError, match=rf"{name} is there already .* nothing was written"):
        write_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("*.pyc", "*.pyc\n.rrq/\n"),
        ("*.pyc\n", "*.pyc\n.rrq/\n"),
        ("/.rrq\n", "/.rrq\n"),
        (".rrq/\n", ".rrq/\n"),
        ("", ".rrq/\n"),
    ],
)
def test_a_gitignore_gets_its_line_once(tmp_path: Path, before: str, after: str) -> None:
    """What is there stays, with or without a line end."""
    path = tmp_path / ".gitignore"
    path.write_text(before)
    written = write_project(tmp_path)
    assert path.read_text() == after
    assert (".gitignore" in written) == (before != after)


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    """So is a link to nowhere; the file stays as it is."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(CliError, match=f"{name} is there already, and is no folder"):
            write_project(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]
