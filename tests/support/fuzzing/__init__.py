"""The fuzz driver: seeded mutation of a committed corpus, without clocks and without a coverage tool.

A test in tests/fuzz says what an input is (a :class:`Shape`), and what must hold of every input (a function
that raises if it does not). :class:`Fuzz` feeds it the corpus and then mutations of it, a number of them that
is counted and not timed. What the check returns are *outcomes*, names for what it saw: an input with a new
one joins the pool that later ones are made of, so that the run works its way into what it has not seen.

Environment: ``RRQ_FUZZ_SEED`` repeats a run, ``RRQ_FUZZ_COUNT`` is its length in frames (all targets run in
proportion), ``RRQ_FUZZ_INPUT`` runs one input, in hex, and no other.
"""

from support.fuzzing.corpus import CORPUS, Entry, read_corpus
from support.fuzzing.driver import CI_COUNT, Fuzz, FuzzFailure, Hang, Report
from support.fuzzing.shapes import Bytes, Shape, Tree

__all__ = [
    "Bytes",
    "CI_COUNT",
    "CORPUS",
    "Entry",
    "Fuzz",
    "FuzzFailure",
    "Hang",
    "Report",
    "Shape",
    "Tree",
    "read_corpus",
]
