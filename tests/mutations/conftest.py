"""Which mutants are tried, and what is told of them: upstream's own and a few more, drawn by the run's seed,
unless `RRQ_TEST_MUTANTS` is `all` or names some.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from support.mutations import MUTANTS, Mutant, TrialBench, Verdict, drawn
from support.redis_choice import for_most, serving

AT_A_TIME = min(2, os.cpu_count() or 1)
VERDICTS = pytest.StashKey[list[Verdict]]()


def _seed(config: pytest.Config) -> str:
    # The root conftest.py hands the run's seed, which it prints, on to Hypothesis.
    return str(config.getoption("hypothesis_seed", None))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each mutant that is to be tried."""
    if "mutant" not in metafunc.fixturenames:
        return
    try:
        chosen = drawn(os.environ.get("RRQ_TEST_MUTANTS", ""), _seed(metafunc.config))
    except ValueError as error:
        raise pytest.UsageError(f"RRQ_TEST_MUTANTS: {error}") from error
    metafunc.parametrize("mutant", chosen, ids=[mutant.tag for mutant in chosen])


@pytest.fixture(scope="session")
def trial_bench(request: pytest.FixtureRequest) -> Iterator[TrialBench]:
    """Serve the verdicts on this session's mutants, which are being worked out in the background."""
    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    params = [item.callspec.params["mutant"] for item in functions if "mutant" in item.fixturenames]
    mutants = [each for each in params if isinstance(each, Mutant)]
    with ExitStack() as stack:
        server = contextmanager(serving)
        urls = [stack.enter_context(server(for_most().shared())).url for _ in range(AT_A_TIME)]
        yield stack.enter_context(TrialBench(mutants, urls, _seed(request.config)))


@pytest.fixture
def told(request: pytest.FixtureRequest) -> list[Verdict]:
    """Return the list of verdicts that are shown at the end of the run."""
    return request.config.stash.setdefault(VERDICTS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show which test caught which mutant."""
    verdicts = config.stash.get(VERDICTS, [])
    if not verdicts:
        return
    title = f"{len(verdicts)} of {len(MUTANTS)} mutants"
    if len(verdicts) < len(MUTANTS):
        title += f", seed {_seed(config)}; make mutations tries all"
    terminalreporter.section(title, sep="-")
    width = max(len(verdict.mutant.tag) for verdict in verdicts)
    for verdict in verdicts:
        found = verdict.caught_by or f"NOT CAUGHT: {verdict.problem or 'its tests were skipped'}"
        terminalreporter.line(f"{verdict.mutant.tag:{width}}  {verdict.trial.seconds:5.1f} s  {found}")
        if config.get_verbosity() > 0:
            said = verdict.reason.split("\n", 1)[0][:200]
            terminalreporter.line(f"{'':{width}}  {verdict.mutant.title}: {said}")
