"""The driver itself: it finds what is planted, makes it small, repeats itself, and notices hangs and
growth."""

import itertools
import random
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import pytest

from support.fuzzing import CORPUS, Bytes, Fuzz, FuzzFailure, Shape, Tree, read_corpus
from support.fuzzing.corpus import read_entry
from support.fuzzing.driver import rss_bytes

HERE = Path(__file__).parent


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return a folder with the corpus of one target."""
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "one.hex").write_text("# a word\n" + b"hello world".hex())
    (folder / "two.hex").write_text("# another\n" + b"0123456789".hex())
    return tmp_path


def driver(corpus: Path, **changes: Any) -> Fuzz:
    """Return a driver of 20,000 inputs."""
    return Fuzz(
        "a-test", **{"count": 20_000, "seed": 1, "corpus": corpus, "say": lambda line: None, **changes}
    )


def no_exclamation(data: bytes) -> Iterable[Hashable]:
    """A check with a defect in it: one byte followed by another."""
    at = data.find(b"[")
    if at >= 0 and data[at + 1 : at + 2] == b"]":
        raise IndexError("planted")
    return [data[:1]]


def test_a_planted_defect_is_found_and_made_small(corpus: Path) -> None:
    """The report has the smallest input, in hex, and that input alone fails again."""
    with pytest.raises(FuzzFailure) as caught:
        driver(corpus).run("words", Bytes(), no_exclamation)
    text = str(caught.value)
    assert "RRQ_FUZZ_INPUT=5b5d " in text
    assert "smallest input (2 bytes)" in text
    with pytest.raises(IndexError):
        driver(corpus, only=bytes.fromhex("5b5d")).run("words", Bytes(), no_exclamation)


def test_a_seed_repeats_a_run(corpus: Path) -> None:
    """The same seed gives the same inputs in the same order, another one gives others; the corpus comes
    first."""

    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def check(data: bytes) -> Iterable[Hashable]:
            seen.append(data)
            return [data[:1]]

        driver(corpus, seed=seed, count=500).run("words", Bytes(), check)
        return seen

    first = inputs(1)
    assert len(first) == 500
    assert first[:2] == [b"hello world", b"0123456789"]
    assert inputs(1) == first
    assert inputs(2) != first


def test_every_input_counts_and_outcomes_are_told(corpus: Path) -> None:
    """The line about a run has its true counts."""
    lines: list[str] = []
    report = driver(corpus, count=100, say=lines.append).run("words", Bytes(), lambda data: [len(data) > 5])
    assert report.inputs == 100
    assert lines == [f"fuzz words: 100 inputs, {len(report.outcomes)} outcomes, seed 1"]


def test_a_hang_is_found(corpus: Path) -> None:
    """An input that never comes to an end is reported, whatever the code under test catches."""

    def check(data: bytes) -> Iterable[Hashable]:
        while len(data) < 5:
            try:
                sum(range(1000))
            except Exception:  # noqa: BLE001 - this is the point
                return []
        return ["done"]

    with pytest.raises(FuzzFailure, match="processor time"):
        driver(corpus).run("words", Bytes(), check, limit_s=0.05, tries=5)


def test_growth_is_found(corpus: Path) -> None:
    """A check that keeps 100 KiB of each input is reported where the system tells the resident memory."""
    kept = []

    def check(data: bytes) -> Iterable[Hashable]:
        kept.append(bytearray(b"x" * 100_000))
        return []

    if rss_bytes() is None:
        check(b"")
        return
    with pytest.raises(FuzzFailure, match="resident memory grew"):
        driver(corpus, count=3000).run("words", Bytes(), check)


@pytest.mark.parametrize("shape", [Bytes(), Tree()])
def test_inputs_survive_being_written(shape: Shape[Any]) -> None:
    """What is written of any mutation reads as the same input."""
    rng = random.Random(1)
    case: Any = b"hello [1, 2]" if isinstance(shape, Bytes) else {"a": [1, "x", None], "b": {"c": 2.5}}
    for _ in range(2000):
        mutated = shape.mutated(case, case, rng)
        assert shape.read(shape.write(mutated)) == mutated


def test_smaller_inputs_are_smaller() -> None:
    """Each step towards the smallest input leads to another one that is no longer."""
    tree = Tree()
    case = {"a": ["xyz", 5], "b": {"c": True}}
    for less in itertools.islice(tree.smaller(case), 100):
        assert less != case
        assert len(tree.write(less)) <= len(tree.write(case))


def test_every_corpus_file_says_why_it_is_there() -> None:
    """All files can be read, have a reason of one line, hold text, and belong to a target that a test
    runs."""
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    for folder in sorted(CORPUS.iterdir()):
        assert f'"{folder.name}"' in tests, folder
        for entry in read_corpus(folder.name):
            assert 0 < len(entry.reason) <= 150, entry
            assert "\n" not in entry.reason, entry


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.hex", "00ff"), ("a.hex", "# why\nxx"), ("a.json", '{"input": 1}'), ("a.txt", "# why\n00")],
)
def test_other_files_are_refused(name: str, text: str, tmp_path: Path) -> None:
    """A file without a reason, of another form or name, is an error that names it or its problem."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=r"expected|hexadecimal"):
        read_entry(path)
