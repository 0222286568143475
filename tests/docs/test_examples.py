"""Every page does what it says: its blocks are run, its commands exist, its links lead somewhere.

docs/README.md has the rules for authors.
"""

from pathlib import Path

import pytest

from support.pages import page_paths
from support.pages.checks import DRAWINGS, block_problems, command_problems
from support.pages.markdown import anchors_of, blocks_of, inline_codes, links_of, long_lines
from support.pages.session import PageSession
from support.rules import ROOT

PAGES = {str(path.relative_to(ROOT)): path for path in page_paths()}
# Named by settings that exist already; the command itself comes later.
COMING = frozenset({"rrq worker watch"})


def _read(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


def _with_blocks() -> list[str]:
    return [
        name
        for name in PAGES
        if any(block.language not in DRAWINGS for block in blocks_of(name, _read(name)))
    ]


@pytest.mark.parametrize("name", _with_blocks())
def test_a_page_runs_from_top_to_bottom(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a reader who follows the page gets is what the page shows."""
    blocks = blocks_of(name, _read(name))
    assert [line for block in blocks for line in block_problems(block)] == []
    with PageSession(tmp_path_factory.mktemp("page")) as session:
        for block in blocks:
            if block.language not in DRAWINGS and block.note("not run") is None:
                session.run(block)


@pytest.mark.parametrize("name", PAGES)
def test_commands_in_running_text_exist(name: str) -> None:
    """An `rrq` command that a sentence names has that spelling and those options."""
    codes = [(line, code) for line, code in inline_codes(_read(name)) if code.startswith("rrq ")]
    problems = [
        f"{name}:{line}: {problem}"
        for line, code in codes
        if code not in COMING
        for problem in command_problems(code)
    ]
    assert problems == []


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Files that are linked exist in the repository, and so do the headings."""
    page = ROOT / name
    problems = []
    for link in links_of(page.read_text(encoding="utf-8")):
        if "://" in link.target:
            continue
        path, _, anchor = link.target.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(ROOT) or not target.exists():
            problems.append(f"{name}:{link.line}: {link.target}: no such file")
        elif anchor and anchor not in anchors_of(target.read_text(encoding="utf-8")):
            problems.append(f"{name}:{link.line}: {link.target}: no such heading")
    assert problems == []


def test_every_page_can_be_reached() -> None:
    """Whoever starts at README finds every page by links."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        links = [link.target.partition("#")[0] for link in links_of(page.read_text(encoding="utf-8"))]
        waiting += [(page.parent / path).resolve() for path in links if path and "://" not in path]
    assert [name for name, path in PAGES.items() if path not in seen] == []


@pytest.mark.parametrize("name", PAGES)
def test_lines_are_not_too_long(name: str) -> None:
    """A page can be read in a terminal; rows of tables apart."""
    assert long_lines(_read(name)) == []
