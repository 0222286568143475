"""Corpus files: text, one input each, with the reason it is there.

``<name>.hex`` holds ``# reason`` and then hexadecimal digits, white space between them as one likes; it is
for inputs that are bytes. ``<name>.json`` holds ``{"reason": …, "input": …}``. An input that once broke
something is a file named after what it broke.
"""

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CORPUS", "Entry", "read_corpus", "read_entry"]

CORPUS = Path(__file__).resolve().parents[2] / "fuzz" / "corpus"


@dataclass(frozen=True)
class Entry:
    """One corpus file: its name without the ending, why it is there, and the input as bytes."""

    name: str
    reason: str
    data: bytes


def read_corpus(target: str, folder: Path = CORPUS) -> list[Entry]:
    """Return the entries of a target, by name.

    Raises:
        ValueError: There are none, or a file is not of the form above.
    """
    entries = [read_entry(path) for path in sorted((folder / target).iterdir())]
    if not entries:
        raise ValueError(f"{folder / target}: expected corpus files, found none")
    return entries


def read_entry(path: Path) -> Entry:
    """Return the entry in one file.

    Raises:
        ValueError: The file is not of the form above.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".hex":
        head, _, digits = text.partition("\n")
        if not head.startswith("# "):
            raise ValueError(f"{path}: expected '# ' and the reason on the first line")
        return Entry(path.stem, head[2:].strip(), bytes.fromhex("".join(digits.split())))
    if path.suffix != ".json":
        raise ValueError(f"{path}: expected a name that ends in .hex or .json")
    content = json.loads(text)
    if set(content) != {"reason", "input"}:
        raise ValueError(f"{path}: expected an object of reason and input")
    return Entry(path.stem, content["reason"], json.dumps(content["input"]).encode())
