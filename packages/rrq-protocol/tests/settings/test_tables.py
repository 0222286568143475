"""The nested tables and what they derive."""

from rrq_protocol.settings import RunnerConfig, WatchConfig, available_cpus


def test_max_in_flight_depends_on_what_is_started() -> None:
    """Our own runner takes ten jobs at a time, a foreign command one, and a given number wins."""
    assert RunnerConfig(app="pkg.module:attr").max_in_flight == 10
    assert RunnerConfig(cmd=("node", "runner.js")).max_in_flight == 1
    assert RunnerConfig(app="pkg.module:attr", max_in_flight=3).max_in_flight == 3


def test_places_for_suspects_depend_on_the_size_of_the_pool() -> None:
    """Twice as many, and no more than four that nobody asked for."""
    places = [RunnerConfig(pool_size=size).suspect_processes for size in (1, 2, 3)]
    assert places == [2, 4, 4]
    assert RunnerConfig(pool_size=1, suspect_processes=8).suspect_processes == 8


def test_pool_size_defaults_to_the_cpus() -> None:
    """Without a pool size there is a process per CPU this process may use."""
    assert RunnerConfig(cmd=("a",)).processes == available_cpus() >= 1
    assert RunnerConfig(cmd=("a",), pool_size=7).processes == 7


def test_external() -> None:
    """Only mode external leaves the processes to someone else."""
    assert RunnerConfig(mode="external").is_external
    assert not RunnerConfig(mode="managed").is_external
    assert not RunnerConfig().is_external


def test_watch_ignores_what_tools_write() -> None:
    """Environments, caches and build output do not restart the worker."""
    assert {".venv/**", "**/__pycache__/**", ".git/**", "target/**"} <= set(WatchConfig().ignore_patterns)
    assert WatchConfig().include_patterns == ("*.py", "*.toml")
