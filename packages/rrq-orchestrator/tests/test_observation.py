"""Who is dead, inferred from leases that do not change (RELIABILITY.md 6.3)."""

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
