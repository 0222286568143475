"""Settings from environment variables."""

import pytest

from rrq_protocol.settings.environ import OTHER_VARIABLES, align_names, read_environment
from rrq_protocol.settings.tree import OVERRIDE, Table, from_value, plain


def _read(**environ: str) -> tuple[object, list[str]]:
    table, problems = read_environment(environ)
    return plain(table), problems


def test_keys_and_nested_keys() -> None:
    """Two underscores lead into tables; the names of variables for a runner keep their case."""
    assert _read(
        RRQ_LEASE_SECONDS="5",
        RRQ_RUNNERS__PYTHON__POOL_SIZE="2",
        RRQ_RUNNERS__PYTHON__ENV__My__Var="x",
        RRQ_RUNNER_ROUTES__MEDIA="rust",
        HOME="/",
    ) == (
        {
            "lease_seconds": "5",
            "runners": {"python": {"env": {"My__Var": "x"}, "pool_size": "2"}},
            "runner_routes": {"media": "rust"},
        },
        [],
    )


def test_empty_and_foreign_variables_are_left_alone() -> None:
    """Compose files produce empty variables, container platforms their own RRQ_ ones."""
    foreign = dict.fromkeys(OTHER_VARIABLES, "x")
    assert _read(RRQ_LEASE_SECONDS="", RRQ_PORT_6379_TCP="tcp://1", RRQ_SERVICE_HOST="h", **foreign) == (
        {},
        [],
    )


@pytest.mark.parametrize(
    ("variable", "meant"),
    [("RRQ_REDIS_DNS", "RRQ_REDIS_DSN"), ("RRQ_RUNNER__PY__CMD", "RRQ_RUNNERS__PY__CMD")],
)
def test_near_misses(variable: str, meant: str) -> None:
    """A variable that nearly spells a setting is a mistake, and the right name is offered."""
    assert _read(**{variable: "x"}) == ({}, [f"{variable}: unknown variable, did you mean {meant}?"])


def test_names_follow_the_file() -> None:
    """A variable cannot spell My-Runner, so it means the runner the file has."""

    def table(value: dict[str, object]) -> Table:
        node = from_value(value, lambda _: OVERRIDE)
        assert isinstance(node, Table)
        return node

    upper, _ = read_environment({"RRQ_RUNNERS__MY_RUNNER__POOL_SIZE": "2", "RRQ_RUNNERS__NEW__CMD": "x"})
    aligned = align_names(upper, table({"runners": {"My-Runner": {}}}))
    assert plain(aligned) == {"runners": {"My-Runner": {"pool_size": "2"}, "new": {"cmd": "x"}}}
    assert plain(align_names(upper, table({}))) == plain(upper)
