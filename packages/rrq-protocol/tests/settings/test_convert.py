"""Trees become model values, and every problem is noted."""

from rrq_protocol.settings import RunnerConfig
from rrq_protocol.settings.convert import Converter, nearest
from rrq_protocol.settings.schema import TypeSpec, spec_at
from rrq_protocol.settings.tree import DEFAULT, Leaf, Origin, from_value

FILE = Origin("file", "rrq.toml:3")
RUNNER = TypeSpec(shape="struct", struct=RunnerConfig)
PATH = ("runners", "python")


def _read(value: object, spec: TypeSpec = RUNNER, path: tuple[str, ...] = PATH) -> tuple[object, Converter]:
    converter = Converter()
    return converter.read(from_value(value, lambda _: FILE), spec, path), converter


def test_a_table_becomes_its_struct() -> None:
    """Lists become tuples, values keep their place of origin."""
    result, converter = _read({"cmd": ["a", "b"], "pool_size": 2})
    assert result == RunnerConfig(cmd=("a", "b"), pool_size=2)
    assert converter.problems == []
    assert converter.origin_of((*PATH, "pool_size")) == FILE


def test_problems_name_path_expectation_and_place() -> None:
    """The text says where, what was expected, what came, and which line to look at."""
    _, converter = _read({"pool_size": 0, "cmd": ["a", 1], "env": {"A": 1}})
    assert converter.problems == [
        "rrq.runners.python.cmd[1]: expected str, got int 1 (rrq.toml:3)",
        "rrq.runners.python.pool_size: expected int >= 1, got 0 (rrq.toml:3)",
        "rrq.runners.python.env.A: expected str, got a value of type int (rrq.toml:3)",
    ]
    assert (*PATH, "pool_size") in converter.broken


def test_unknown_keys() -> None:
    """The nearest known key is offered, or the list of keys."""
    _, converter = _read({"pool_sise": 1, "zzzzzzzz": 1})
    assert converter.problems == [
        'rrq.runners.python.pool_sise: unknown key, did you mean "pool_size"? (rrq.toml:3)',
        "rrq.runners.python.zzzzzzzz: unknown key; `rrq config show` lists the known ones (rrq.toml:3)",
    ]


def test_a_struct_built_in_code_passes() -> None:
    """Code may hand in what the file would have described."""
    runner = RunnerConfig(cmd=("a",))
    result, converter = _read(runner)
    assert result is runner
    assert converter.problems == []


def test_wrong_shapes() -> None:
    """A list, table or value in the place of another is one problem each."""
    for value, path, problem in [
        ([1], "runners.python", "expected a table, got a list"),
        ("x", "worker.queues", "expected a table of int >= 1, got str 'x'"),
        ({"a": 1}, "runners.python.cmd", "expected a list of str, got a table"),
        ({}, "lease_seconds", "got a table"),
        ([], "runners.python.cmd", "expected a program and its arguments, got an empty list"),
    ]:
        spec = spec_at(tuple(path.split(".")))
        assert spec is not None
        _, converter = _read(value, spec, tuple(path.split(".")))
        assert [problem in text for text in converter.problems] == [True]


def test_environment_text_gets_structure() -> None:
    """A variable may hold a command line, a comma list or JSON, where the model expects one."""
    variable = Origin("environment", "RRQ_X")
    for path, text, expected in [
        ("runners.python.cmd", "node 'my runner.js' --x", ("node", "my runner.js", "--x")),
        ("runners.python.cmd", '["node", "x"]', ("node", "x")),
        ("watch.include_patterns", "*.py, *.toml,", ("*.py", "*.toml")),
        ("runner_routes", '{"media": "rust"}', {"media": "rust"}),
        ("runners.python.env.CONF", '{"a": 1}', '{"a": 1}'),
    ]:
        spec = spec_at(tuple(path.split(".")))
        assert spec is not None
        converter = Converter()
        assert converter.read(Leaf(text, variable, text=True), spec, tuple(path.split("."))) == expected
        assert converter.problems == []


def test_two_spellings_of_one_queue() -> None:
    """A full key and a bare name that mean the same queue cannot both be given."""
    spec = spec_at(("worker", "queues"))
    assert spec is not None
    _, converter = _read({"a": 1, "rrq:queue:a": 2}, spec, ("worker", "queues"))
    assert "which this table holds already" in converter.problems[0]


def test_a_value_nobody_set_has_the_defaults_origin() -> None:
    """Outside any given table the default is where a value comes from."""
    assert Converter().origin_of(("lease_seconds",)) == DEFAULT


def test_nearest() -> None:
    """Close names are found, far ones are not, and a very long name costs nothing."""
    assert nearest("pool_sise", ("pool_size", "cmd")) == "pool_size"
    assert nearest("qqq", ("pool_size",)) is None
    assert nearest("x" * 10**6, ("pool_size",)) is None
