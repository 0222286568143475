"""The machinery that runs pages finds what is wrong with one."""

import os
from pathlib import Path

import pytest

from support.pages.checks import block_problems, command_problems
from support.pages.markdown import Block, anchors_of, blocks_of, inline_codes, links_of, long_lines
from support.pages.programs import PageProblem, Program, expected, normal
from support.pages.session import PageSession, commands_of

PAGE = """\
# A page: `code` & more

<!-- exit code: 3 -->

```console
$ bash -c "exit 3"
```

<!-- Unseen:
```python
# seen.py
print("yes")
```
-->
See [here](other.md#there), not `[this](no.md)`.

```text
[nor](that.md)
```
"""


def _run(folder: Path, language: str, code: str, *notes: str) -> None:
    with PageSession(folder) as session:
        session.run(Block("page.md", 1, language, code, notes))


def test_blocks_are_found_with_their_comments() -> None:
    """Language, line, file name and comments are read, also of a block inside a comment."""
    shell, hidden, drawing = blocks_of("page.md", PAGE)
    assert (shell.place, shell.language, shell.note("exit code")) == ("page.md:6", "console", "3")
    assert (hidden.file_name, hidden.code) == ("seen.py", '# seen.py\nprint("yes")\n')
    assert hidden.note("not run") is None
    assert drawing.notes == ()


def test_an_open_block_is_a_problem() -> None:
    """A fence that is never closed would hide the rest of the page."""
    with pytest.raises(ValueError, match=r"page\.md:1: the block is not closed"):
        blocks_of("page.md", "```python\nx = 1\n")


def test_links_headings_and_codes_are_read() -> None:
    """Code is no link; headings make the anchors that code hosts make."""
    assert [(link.line, link.target) for link in links_of(PAGE)] == [(15, "other.md#there")]
    assert anchors_of(PAGE) == {"a-page-code--more"}
    assert (1, "code") in inline_codes(PAGE)
    assert long_lines("x" * 121 + "\n|" + "x" * 121) == [1]


@pytest.mark.parametrize(
    ("language", "code", "note"),
    [
        ("rust", "fn main() {}", ""),
        ("", "anything", ""),
        ("rust", "fn main() {}", "not run:"),
        ("python", "x = ", ""),
        ("json", "{,}", ""),
        ("toml", "[rrq]\nredis_dns = 'x'", ""),
    ],
)
def test_a_bad_block_is_found(language: str, code: str, note: str) -> None:
    """An unknown language without a reason, and what cannot be read, are findings."""
    (problem,) = block_problems(Block("page.md", 7, language, code, (note,)))
    assert problem.startswith("page.md:7: ")


@pytest.mark.parametrize(
    ("language", "code", "note"),
    [
        ("rust", "fn main() {}", "not run: needs a compiler"),
        ("toml", "[tool.other]\nkey = 1", "not run: another program's file"),
        ("toml", "[rrq.runners.python]\napp = 'a:b'", ""),
        ("python", "await f()", ""),
        ("text", "──►", ""),
    ],
)
def test_a_good_block_is_no_finding(language: str, code: str, note: str) -> None:
    """A reason, settings, and code that can be read are fine."""
    assert block_problems(Block("page.md", 7, language, code, (note,))) == []


@pytest.mark.parametrize(
    "command",
    [
        "rrq quue list",
        "rrq queue lst",
        "rrq queue list --al",
        "rrq --jason check",
        "make demoo",
        "pip install rrq-clii",
        'pip install "rrq-orchestrator[embeded]"',
        "rrq 'queue",
    ],
)
def test_a_wrong_command_is_found(command: str) -> None:
    """Misspelt commands, options, targets, wheels and extras are findings."""
    assert len(command_problems(command)) == 1


@pytest.mark.parametrize(
    "command",
    [
        "rrq queue stats --queue a --json  # twice",
        "rrq --json job trace ID",
        "rrq queue …",
        "make test ARGS=x",
        'pip install rrq-cli "rrq-orchestrator[embedded]"',
        "ls -la",
    ],
)
def test_a_right_command_is_no_finding(command: str) -> None:
    """Existing ones are fine, and so are commands nobody here knows."""
    assert command_problems(command) == []


def test_output_is_matched_with_gaps() -> None:
    """An ellipsis stands for any text in its line, alone for any lines; blanks and rules are no matter."""
    output = normal("Job    a1\n─────────\nx\n\ny\nDone in 3 ms\n")
    assert expected(["Job …", "...", "Done in … ms"]).fullmatch(output)
    assert expected(["Job a1", "──", "x", "y", "Done ..."]).fullmatch(output)
    assert not expected(["Job a1", "Done …"]).fullmatch(output)
    assert not expected(["Job …"]).fullmatch(output)


def test_commands_are_told_from_output() -> None:
    """With `$`, other lines are output; without, every line that is no comment is a command."""
    block = Block("page.md", 1, "console", "$ echo a \\\nb\na b\n$ true\n")
    assert commands_of(block) == [("echo a  b", ["a b"]), ("true", [])]
    assert commands_of(Block("page.md", 1, "console", "true\n# why\nfalse # no\n")) == [
        ("true", []),
        ("false # no", []),
    ]


@pytest.mark.parametrize(
    ("language", "code", "note", "message"),
    [
        ("console", "$ echo one\ntwo\n", "", "the page shows:\ntwo\nit printed:\none"),
        ("console", "false\n", "", "exit code 1, not 0"),
        ("console", "true\n", "exit code: 1", "exit code 0, not 1"),
        ("console", "rrq nothing\n", "", "rrq has no command nothing"),
        ("console", "$ echo one\ntwo\n", "background", "ended before"),
        (
            "console",
            "$ trap 'exit 4' INT; echo one; sleep 60 & wait\none\n",
            "background",
            "exit code 4 after",
        ),
        ("python", "x = 1\nassert x == 2\n", "", 'page.md", line 2'),
        ("python", "import os; os._exit(5)\n", "", "the interpreter ended, exit code 5"),
    ],
)
def test_a_page_that_lies_is_found(language: str, code: str, note: str, message: str, tmp_path: Path) -> None:
    """Other output, another exit code, a program that ends, an error: each is told with its place."""
    with pytest.raises(PageProblem) as problem:
        _run(tmp_path, language, code, note)
    assert message in str(problem.value)


def test_a_background_program_must_not_end_by_itself(tmp_path: Path) -> None:
    """One that is gone when the page ends did not do what the page says."""
    with Program("true", tmp_path, os.environ) as program:
        assert program.wait() == 0
        with pytest.raises(PageProblem, match="ended by itself"):
            program.stop()


def test_a_page_is_one_session(tmp_path: Path) -> None:
    """Files are written, blocks share names, `await` works, programs see the files."""
    blocks = [
        Block("page.md", 1, "python", "# lib/three.py\nTHREE = 3\n"),
        Block("page.md", 5, "python", "import asyncio\nfrom lib.three import THREE\nx = THREE\n"),
        Block("page.md", 9, "python", "await asyncio.sleep(0)\nassert x == 3\n"),
        Block("page.md", 12, "console", '$ python -c "import lib.three as t; print(t.THREE)"\n3\n'),
    ]
    with PageSession(tmp_path) as session:
        for block in blocks:
            session.run(block)


def test_a_background_program_ends_as_by_ctrl_c(tmp_path: Path) -> None:
    """It runs while the page goes on, and gets the chance to end in order."""
    code = "$ trap 'echo over > end.txt; exit 0' INT; echo ready; sleep 60 & wait\nready\n"
    with PageSession(tmp_path) as session:
        session.run(Block("page.md", 1, "console", code, ("background",)))
        assert not (tmp_path / "end.txt").exists()
    assert (tmp_path / "end.txt").read_text() == "over\n"
