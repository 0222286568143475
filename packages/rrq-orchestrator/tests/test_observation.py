"""Who is dead, inferred from leases that do not change (RELIABILITY.md 6.3)."""

import pytest

from rrq_orchestrator.observation import LeaseObserver, Suspect

NOW_MS = 1_700_000_000_000.0


def looks(observer: LeaseObserver, times: list[float], lease: float = NOW_MS) -> list[Suspect]:
    """Look at one unchanging lease at these times; return what the last look says."""
    found: list[Suspect] = []
    for now_s in times:
        found = observer.look(now_s, NOW_MS, [("o1", lease)])
    return found


def test_a_lease_that_does_not_change_for_its_whole_length_is_suspected() -> None:
    """Not a moment earlier: 9 s of silence are no death, 10 s are."""
    observer = LeaseObserver(10.0, 2.0)
    assert looks(observer, [float(n) for n in range(10)]) == []
    assert looks(observer, [10.0]) == [Suspect("o1", NOW_MS)]


def test_a_lease_that_changes_is_alive() -> None:
    """Every beat writes a new value; which value does not matter."""
    observer = LeaseObserver(10.0, 2.0)
    for n in range(60):
        assert observer.look(float(n), NOW_MS, [("o1", NOW_MS + n // 9)]) == []


def test_a_value_is_dated_between_two_looks() -> None:
    """Seen 0.9 s after it was written: the lease is over 10 s after that, and the observer knows when."""
    observer = LeaseObserver(10.0, 2.0)
    written = NOW_MS + 10_000
    assert observer.look(0.0, NOW_MS - 100, [("o1", written - 2000)]) == []
    assert observer.look(1.0, NOW_MS + 900, [("o1", written)]) == []
    assert abs(observer.due_in_s(1.0) - 9.1) < 1e-6
    for n in range(2, 11):
        assert observer.look(n + 0.05, NOW_MS, [("o1", written)]) == []
    assert observer.look(10.15, NOW_MS, [("o1", written)]) == [Suspect("o1", written)]
    assert observer.due_in_s(10.15) == 0.0


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
def test_a_jump_of_the_servers_clock_shifts_a_date_by_one_look_at_most(jump_ms: int) -> None:
    """So nobody dies of it: three beats are waited for in any case (F48, F49)."""
    observer = LeaseObserver(10.0, 2.0)
    observer.look(0.0, NOW_MS, [("o1", NOW_MS + 10_000)])
    observer.look(1.0, NOW_MS + jump_ms, [("o1", NOW_MS + 10_500)])
    for n in range(2, 6):
        assert observer.look(float(n), NOW_MS + jump_ms, [("o1", NOW_MS + 10_500)]) == []


def test_after_a_gap_a_value_counts_from_its_first_sight() -> None:
    """However old it says it is: it may have been the only one that could not be written."""
    observer = LeaseObserver(10.0, 2.0)
    looks(observer, [0.0])
    assert observer.look(30.0, NOW_MS + 30_000, [("o1", NOW_MS + 20_000)]) == []
    assert observer.due_in_s(30.0) == 10.0
    observer.interrupted()
    assert observer.look(31.0, NOW_MS + 30_000, [("o1", NOW_MS + 20_000)]) == []
    assert observer.due_in_s(31.0) == 10.0


def test_a_gap_in_the_observers_own_view_starts_all_over() -> None:
    """An observer that was stopped itself must not call others dead (F50)."""
    observer = LeaseObserver(10.0, 2.0)
    assert looks(observer, [0.0, 1.0, 2.0, 30.0]) == []
    assert looks(observer, [float(n) for n in range(31, 40)]) == []
    assert looks(observer, [40.0]) == [Suspect("o1", NOW_MS)]


def test_an_outage_of_redis_starts_all_over() -> None:
    """After Redis was away nobody is declared dead for one lease: no reclaim storm (F25)."""
    observer = LeaseObserver(10.0, 2.0)
    looks(observer, [float(n) for n in range(10)])
    observer.interrupted()
    assert looks(observer, [10.0, 11.0]) == []


def test_a_lease_left_over_from_long_ago_is_not_waited_for_a_whole_lease() -> None:
    """The fleet was down: three beats of observation suffice."""
    observer = LeaseObserver(10.0, 2.0)
    ancient = NOW_MS - 200_000
    assert looks(observer, [0.0, 2.0, 4.0, 5.9], ancient) == []
    assert looks(observer, [6.0], ancient) == [Suspect("o1", ancient)]


def test_whoever_left_is_forgotten() -> None:
    """An orchestrator that deregistered and one that never was there are the same."""
    observer = LeaseObserver(10.0, 2.0)
    looks(observer, [0.0, 1.0])
    for n in range(2, 12):
        assert observer.look(float(n), NOW_MS, []) == []
    assert looks(observer, [12.0]) == []
