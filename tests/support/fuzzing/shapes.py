"""What an input is: how it is changed, made smaller, and written as bytes for people to hand on."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from support.fuzzing.mutation import mutated_bytes, mutated_tree

__all__ = ["Bytes", "Shape", "Tree"]

T = TypeVar("T")


class Shape(Generic[T]):
    """One kind of input.

    Args:
        tokens: Words of the input's language, for mutations to use.
    """

    def __init__(self, tokens: Sequence[bytes] = ()) -> None:
        self.tokens = tuple(tokens)

    def read(self, data: bytes) -> T:
        """Return the input that :meth:`write` wrote."""
        raise NotImplementedError

    def write(self, case: T) -> bytes:
        """Return the input as bytes."""
        raise NotImplementedError

    def mutated(self, case: T, other: T, rng: random.Random) -> T:
        """Return another input, made of two."""
        raise NotImplementedError

    def smaller(self, case: T) -> Iterator[T]:
        """Yield simpler inputs, the simplest ones first."""
        raise NotImplementedError


class Bytes(Shape[bytes]):
    """Any bytes. The first ``kept`` of them tell the check what to do and are not made smaller."""

    def __init__(self, tokens: Sequence[bytes] = (), kept: int = 0) -> None:
        super().__init__(tokens)
        self.kept = kept

    def read(self, data: bytes) -> bytes:
        return data

    def write(self, case: bytes) -> bytes:
        return case

    def mutated(self, case: bytes, other: bytes, rng: random.Random) -> bytes:
        return mutated_bytes(case, other, rng, self.tokens)

    def smaller(self, case: bytes) -> Iterator[bytes]:
        head, rest = case[: self.kept], case[self.kept :]
        size = len(rest)
        while size:
            for start in range(0, len(rest), size):
                yield head + rest[:start] + rest[start + size :]
            size //= 2
        for at, byte in enumerate(rest):
            if byte not in b"0":
                yield head + rest[:at] + b"0" + rest[at + 1 :]


class Tree(Shape[Any]):
    """A JSON value. In texts that stand for bytes each character is one byte (Latin-1)."""

    def read(self, data: bytes) -> Any:
        return json.loads(data)

    def write(self, case: Any) -> bytes:
        return json.dumps(case).encode()

    def mutated(self, case: Any, other: Any, rng: random.Random) -> Any:
        for _ in range(1 + int(rng.random() * rng.random() * 4)):
            case = mutated_tree(case, other, rng, self.tokens)
        return case

    def smaller(self, case: Any) -> Iterator[Any]:
        yield from _smaller_tree(case)


def _smaller_tree(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for key in tree:
            yield {name: value for name, value in tree.items() if name != key}
        for key, value in tree.items():
            yield from ({**tree, key: less} for less in _smaller_tree(value))
    elif isinstance(tree, list):
        yield from (tree[:at] + tree[at + 1 :] for at in range(len(tree)))
        for at, value in enumerate(tree):
            yield from ([*tree[:at], less, *tree[at + 1 :]] for less in _smaller_tree(value))
    elif isinstance(tree, str):
        size = len(tree)
        while size:
            yield from (tree[:start] + tree[start + size :] for start in range(0, len(tree), size))
            size //= 2
    elif tree not in (None, 0):
        yield 0
