"""From the tree of given values to the model, collecting every problem on the way."""

from collections.abc import Mapping

import msgspec

from rrq_protocol.settings.schema import FieldSpec, TypeSpec, expected, fields_of
from rrq_protocol.settings.tables import RunnerConfig
from rrq_protocol.settings.tree import DEFAULT, Leaf, Node, Origin, Table, from_value, plain, show_path
from rrq_protocol.settings.values import INVALID, Invalid, describe, read_scalar

__all__ = ["Converter", "nearest"]

Path = tuple[str, ...]

_NAME_RULES = {
    "queue": "a queue name (1 to 128 of A-Z a-z 0-9 . _ -)",
    "runner": "a runner name (1 to 128 of A-Z a-z 0-9 . _ -)",
    "function": "a function name (1 to 256 printable characters, with or without `runner#` in front)",
}


def nearest(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str | None:
    """Return the known name that ``name`` was probably meant to be, or None."""
    from difflib import get_close_matches

    matches = get_close_matches(name[:100].lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


class Converter:
    """Reads nodes into model values.

    Attributes:
        problems: What does not fit, worded for the user; complete after the last call.
        origins: Where each value came from, by dotted key path without ``rrq``.
        broken: Key paths that have a problem. A placeholder stands there, so that everything else can still
            be checked; rules that involve such a path say nothing sensible.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.origins: dict[str, Origin] = {}
        self.broken: set[Path] = set()
        self._opened: dict[Path, Origin] = {}

    def read(self, node: Node, spec: TypeSpec, path: Path) -> object:
        """Return the node's value in the model's type, or :data:`INVALID` after noting the problem."""
        if isinstance(node, Leaf):
            if node.value is None and spec.optional:
                return self._found(path, None, node.origin)
            node = _parsed_text(node, spec)
        if spec.struct is not None:
            return self._read_struct(node, spec, path)
        if spec.shape == "table":
            return self._read_table(node, spec, path)
        if spec.shape == "list":
            return self._read_list(node, spec, path)
        if isinstance(node, Table):
            if spec.shape != "any":
                return self._mismatch(plain(node), spec, path, node.origin)
            return self._found(path, plain(node), node.origin)
        value = read_scalar(node.value, spec, text=node.text)
        if isinstance(value, Invalid):
            return self._mismatch(node.value, spec, path, node.origin)
        return self._found(path, value, node.origin)

    def note(self, path: Path, problem: str, origin: Origin | None = None) -> None:
        """Add a problem of the value at a key path, with the place it was set, where that helps."""
        self.broken.add(path)
        place = f" ({origin})" if origin is not None and _is_place(origin) else ""
        self.problems.append(f"{show_path(path)}: {problem}{place}")

    def origin_of(self, path: Path) -> Origin:
        """Return where the value at a key path was set, or else the table that should have it."""
        return self.origins.get(".".join(path)) or self._opened.get(path[:-1], DEFAULT)

    def places(self) -> dict[str, Origin]:
        """Return where values and tables stand that somebody gave, by their key paths as they are shown."""
        found = dict(self._opened)
        found |= {tuple(dotted.split(".")): origin for dotted, origin in self.origins.items()}
        given = ((path, origin) for path, origin in found.items() if _is_place(origin))
        return {show_path(path): origin for path, origin in given}

    def _read_struct(self, node: Node, spec: TypeSpec, path: Path) -> object:
        assert spec.struct is not None
        if isinstance(node, Leaf):
            if isinstance(node.value, spec.struct):  # built in code
                return self._found(path, node.value, node.origin)
            return self._mismatch(node.value, spec, path, node.origin)
        if path:
            self._opened[path] = node.origin
        fields = fields_of(spec.struct)
        for key, member in node.entries.items():
            if key not in fields:
                self._unknown_key(key, fields, spec.struct, (*path, key), _origin(member))
        values: dict[str, object] = {}
        for name, field in fields.items():
            value: object = field.default
            if name in node.entries:
                value = self.read(node.entries[name], field.type, (*path, name))
            elif field.required:
                self.note((*path, name), f"is required: expected {_expected(field.type)}", node.origin)
            values[name] = field.default if isinstance(value, Invalid) else value
        return spec.struct(**values)

    def _read_table(self, node: Node, spec: TypeSpec, path: Path) -> object:
        assert spec.key is not None
        assert spec.item is not None
        if isinstance(node, Leaf):
            return self._mismatch(node.value, spec, path, node.origin)
        if spec.item.shape == "any":
            return self._found(path, plain(node), node.origin)
        result: dict[object, object] = {}
        for key, member in node.entries.items():
            name = read_scalar(key, spec.key, text=False)
            value = self.read(member, spec.item, (*path, key))
            if isinstance(name, Invalid):
                self._mismatch(key, spec.key, (*path, key), _origin(member))
            elif name in result:
                self.note((*path, key), f"names {name!r}, which this table holds already", _origin(member))
            result[name] = _placeholder(spec.item) if isinstance(value, Invalid) else value
        return (
            INVALID if any(isinstance(part, Invalid) for pair in result.items() for part in pair) else result
        )

    def _read_list(self, node: Node, spec: TypeSpec, path: Path) -> object:
        assert spec.item is not None
        if isinstance(node, Table) or not isinstance(node.value, list | tuple):
            return self._mismatch(plain(node), spec, path, node.origin)
        origin = node.origin
        locate = node.locate or (lambda _: origin)
        members: list[object] = []
        for index, member in enumerate(node.value):
            place = (*path, f"[{index}]")
            try:
                child = from_value(member, locate, place)
            except ValueError as error:
                self.problems.append(str(error))
                self.broken.add(place)
                member = INVALID
            else:
                member = self.read(child, spec.item, place)
            if isinstance(member, Invalid) and spec.item.struct is not None:
                # A placeholder, so that the others can be judged in their places.
                fields = fields_of(spec.item.struct)
                member = spec.item.struct(**{name: field.default for name, field in fields.items()})
            members.append(member)
        if spec.kind == "command" and not members:
            self.note(path, "expected a program and its arguments, got an empty list", node.origin)
            return INVALID
        if any(isinstance(member, Invalid) for member in members):
            return INVALID
        return self._found(path, tuple(members), node.origin)

    def _found(self, path: Path, value: object, origin: Origin) -> object:
        self.origins[".".join(path)] = origin
        return value

    def _mismatch(self, value: object, spec: TypeSpec, path: Path, origin: Origin) -> Invalid:
        self.note(path, f"expected {_expected(spec)}, got {describe(value, spec)}", origin)
        return INVALID

    def _unknown_key(
        self,
        key: str,
        fields: Mapping[str, FieldSpec],
        struct: type[msgspec.Struct],
        path: Path,
        origin: Origin,
    ) -> None:
        guess = nearest(key, fields)
        if key in fields_of(RunnerConfig) and struct is not RunnerConfig and guess != key:
            problem = "unknown key; it belongs in rrq.runners.<name>"
        elif guess is not None:
            problem = f'unknown key, did you mean "{guess}"?'
        else:
            problem = "unknown key; `rrq config show` lists the known ones"
        self.note(path, problem, origin)


def _placeholder(spec: TypeSpec) -> object:
    """Return what stands for a broken member of a table, so that at least its name is known."""
    if spec.struct is None or any(field.required for field in fields_of(spec.struct).values()):
        return INVALID
    return spec.struct()


def _is_place(origin: Origin) -> bool:
    """Whether it helps to name it."""
    return origin.kind not in ("default", "override")


def _origin(node: Node) -> Origin:
    return node.origin


def _expected(spec: TypeSpec) -> str:
    return _NAME_RULES.get(spec.kind) or expected(spec)


def _parsed_text(leaf: Leaf, spec: TypeSpec) -> Node:
    """Give structure to the text of an environment variable where the model expects a list or a table."""
    text = leaf.value
    if not leaf.text or not isinstance(text, str) or spec.shape not in ("list", "table", "struct", "any"):
        return leaf
    if text.lstrip()[:1] in ("{", "["):
        try:
            data = msgspec.json.decode(text.encode())
            return from_value(data, lambda _: leaf.origin)
        except (ValueError, msgspec.DecodeError, RecursionError):
            return leaf
    if spec.kind == "command":
        import shlex

        try:
            return Leaf(shlex.split(text), leaf.origin)
        except ValueError:
            return leaf
    if spec.shape == "list":
        return Leaf([part.strip() for part in text.split(",") if part.strip()], leaf.origin)
    return leaf
