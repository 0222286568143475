"""Trees of values with their origins."""

import pytest

from rrq_protocol.settings.tree import Leaf, Origin, Table, from_value, merge, plain, show_path

FILE, VARIABLE = Origin("file", "rrq.toml:3"), Origin("environment", "RRQ_A")


def _table(value: dict[str, object], origin: Origin = FILE) -> Table:
    node = from_value(value, lambda _: origin)
    assert isinstance(node, Table)
    return node


def test_round_trip() -> None:
    """Plain data comes back unchanged."""
    data: dict[str, object] = {"a": 1, "b": {"c": [1, {"d": 2}], "e": {}}}
    assert plain(_table(data)) == data


def test_upper_layer_wins_key_by_key() -> None:
    """Tables are merged, leaves replaced with their origin, and neither layer is changed."""
    lower = _table({"a": {"x": 1, "y": 2}, "b": 1, "t": {"z": 1}})
    upper = _table({"a": {"y": 3}, "t": 5, "c": 4}, VARIABLE)
    merged = merge(lower, upper)
    assert plain(merged) == {"a": {"x": 1, "y": 3}, "b": 1, "t": 5, "c": 4}
    inner = merged.entries["a"]
    assert isinstance(inner, Table)
    assert [inner.entries[key].origin for key in "xy"] == [FILE, VARIABLE]
    assert plain(lower) == {"a": {"x": 1, "y": 2}, "b": 1, "t": {"z": 1}}


def test_paths_are_shown_as_written() -> None:
    """Odd keys are quoted and escaped, list positions are attached."""
    assert show_path(()) == "rrq"
    assert show_path(("runners", "my-py", "cmd", "[0]")) == "rrq.runners.my-py.cmd[0]"
    assert show_path(("a b", "c\x1b\n")) == 'rrq."a b"."c\\x1b\\n"'
    assert len(show_path(("x" * 10_000,))) < 100


def test_origins_read_well() -> None:
    """An origin says where to look."""
    kinds = [Origin("default"), Origin("override"), Origin("dotenv", "RRQ_A"), FILE, VARIABLE]
    assert [str(origin) for origin in kinds] == [
        "default",
        "command line",
        "RRQ_A in .env",
        "rrq.toml:3",
        "RRQ_A",
    ]


def test_strange_data_is_refused() -> None:
    """Keys that are no text, and nesting beyond reason, are problems and no crash."""
    with pytest.raises(ValueError, match="expected keys of type str, got int"):
        from_value({1: 2}, lambda _: FILE)
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="nested more than"):
        from_value(deep, lambda _: FILE)


def test_leaf_knows_its_members_origin() -> None:
    """The members of a list can be located one by one."""
    node = _table({"a": [1]}).entries["a"]
    assert isinstance(node, Leaf)
    assert node.locate is not None
    assert node.locate(("a", "[0]")) == FILE
