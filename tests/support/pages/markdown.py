"""Pages into blocks, links and headings. No I/O."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Block", "Link", "anchors_of", "blocks_of", "inline_codes", "links_of", "long_lines"]

MAX_COLUMNS = 120

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>[\w+-]*)\s*$")
_FILE_NAME = re.compile(r"(?:#|//|--) (?P<name>[\w./-]+\.\w+)$")
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]*)\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"#{1,6} +(?P<text>.+?) *#*$")
_CODE = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: The page's name, for messages.
        line: Number of its first line of code in the page.
        language: The word behind the fence, empty if there is none.
        code: Its text, with a newline at the end.
        notes: The HTML comments right above it.
    """

    page: str
    line: int
    language: str
    code: str
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Page and line, as editors understand them."""
        return f"{self.page}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """Name of the file this block is, if its first line is a comment that says so."""
        named = _FILE_NAME.match(self.code.partition("\n")[0])
        return named["name"] if named else None

    def note(self, name: str) -> str | None:
        """Return what a comment ``name: value`` above the block says; "" for a bare ``name``."""
        for note in self.notes:
            key, _, value = note.partition(":")
            if key.strip() == name:
                return value.strip()
        return None


@dataclass(frozen=True)
class Link:
    """A link: where it stands, and where it leads."""

    line: int
    target: str


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the fenced blocks of a page in order, those inside comments too.

    Raises:
        ValueError: A fence is not closed.
    """
    found: list[Block] = []
    notes: list[str] = []
    comment: list[str] | None = None
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        opening = _FENCE.match(line)
        if opening is not None:
            if comment is not None:
                notes.append("\n".join(comment).strip())
                comment = None
            code = _until_closed(lines, opening, f"{page}:{number}")
            found.append(Block(page, number + 1, opening["language"], code, tuple(notes)))
            notes = []
        elif comment is not None:
            comment.append(line.partition("-->")[0])
            if "-->" in line:
                notes.append("\n".join(comment).strip())
                comment = None
        elif line.lstrip().startswith("<!--"):
            inside, closed, _ = line.lstrip()[4:].partition("-->")
            if closed:
                notes.append(inside.strip())
            else:
                comment = [inside]
        elif line.strip():
            notes = []
    return found


def _until_closed(lines: Iterator[tuple[int, str]], opening: "re.Match[str]", place: str) -> str:
    code: list[str] = []
    for _, line in lines:
        if line.strip() == opening["fence"]:
            return "".join(f"{each}\n" for each in code)
        code.append(line.removeprefix(opening["indent"]))
    raise ValueError(f"{place}: the block is not closed")


def _prose(text: str) -> list[str]:
    """Return the lines of a page, those of blocks empty."""
    fence, prose = None, []
    for line in text.splitlines():
        found = _FENCE.match(line)
        if fence is None and found is not None:
            fence = found["fence"]
            prose.append("")
        elif fence is not None:
            fence = None if line.strip() == fence else fence
            prose.append("")
        else:
            prose.append(line)
    return prose


def links_of(text: str) -> list[Link]:
    """Return the links of a page that are not inside code."""
    return [
        Link(number, match["target"])
        for number, line in enumerate(_prose(text), 1)
        for match in _LINK.finditer(_CODE.sub("", line))
    ]


def inline_codes(text: str) -> list[tuple[int, str]]:
    """Return line number and text of every inline code."""
    return [
        (number, match["code"])
        for number, line in enumerate(_prose(text), 1)
        for match in _CODE.finditer(line)
    ]


def anchors_of(text: str) -> set[str]:
    """Return the anchors that headings make, as code hosts spell them."""
    found: set[str] = set()
    for line in _prose(text):
        heading = _HEADING.match(line)
        if heading is None:
            continue
        words = re.sub(r"[^\w\s-]", "", re.sub(_LINK, r"\g<text>", heading["text"])).strip().lower()
        anchor = base = re.sub(r"\s", "-", words)
        repeat = 0
        while anchor in found:
            repeat += 1
            anchor = f"{base}-{repeat}"
        found.add(anchor)
    return found


def long_lines(text: str) -> list[int]:
    """Return the numbers of lines that are too long; rows of tables cannot be broken."""
    return [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > MAX_COLUMNS and not line.startswith("|")
    ]
