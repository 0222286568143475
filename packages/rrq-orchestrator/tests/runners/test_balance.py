"""The balancer always gives a least loaded member with room, and counts right."""

from random import Random

import pytest

from rrq_orchestrator.runners.balance import Balancer


class Member:
    """Something with a load and a limit."""

    def __init__(self, limit: int) -> None:
        self.load, self.limit = 0, limit


def test_requests_spread_evenly() -> None:
    """Ten requests over three members with room differ by one at most."""
    balancer: Balancer[Member] = Balancer()
    members = [Member(10) for _ in range(3)]
    for member in members:
        balancer.add(member)
    for _ in range(10):
        member = balancer.pick()  # type: ignore[assignment]  # there is room
        balancer.taken(member)
    assert sorted(member.load for member in members) == [3, 3, 4]
    assert (balancer.free, balancer.capacity) == (20, 30)


def test_an_empty_or_full_balancer_gives_none() -> None:
    """Nothing to choose from is None."""
    balancer: Balancer[Member] = Balancer()
    assert balancer.pick() is None
    member = Member(1)
    balancer.add(member)
    balancer.taken(member)
    assert balancer.pick() is None
    balancer.released(member)
    assert balancer.pick() is member


def test_a_member_may_be_removed_once() -> None:
    """Removing tells whether it was there, and takes its capacity along."""
    balancer: Balancer[Member] = Balancer()
    member = Member(3)
    balancer.add(member)
    balancer.taken(member)
    assert balancer.remove(member)
    assert not balancer.remove(member)
    assert (balancer.free, balancer.capacity, len(balancer)) == (0, 0, 0)


def test_a_member_over_its_limit_comes_back_later() -> None:
    """A member whose limit fell below its load takes requests again once it is below the limit."""
    balancer: Balancer[Member] = Balancer()
    member = Member(3)
    member.load = 3
    member.limit = 2
    balancer.add(member)
    assert (balancer.free, balancer.capacity) == (0, 2)
    balancer.released(member)
    assert (balancer.free, balancer.pick()) == (0, None)
    balancer.released(member)
    assert (balancer.free, balancer.pick()) == (1, member)


@pytest.mark.parametrize("rounds", [2000])
def test_against_a_plain_search(rng: Random, rounds: int) -> None:
    """Over random steps the choice is always minimal, and the sums are those of a plain search."""
    balancer: Balancer[Member] = Balancer()
    held: list[Member] = []
    for _ in range(rounds):
        step = rng.random()
        if step < 0.1:
            held.append(Member(rng.randint(1, 5)))
            balancer.add(held[-1])
        elif step < 0.15 and held:
            balancer.remove(held.pop(rng.randrange(len(held))))
        elif step < 0.6:
            member = balancer.pick()
            rooms = [each.load for each in held if each.load < each.limit]
            if member is None:
                assert not rooms
            else:
                assert member.load == min(rooms)
                balancer.taken(member)
        elif busy := [each for each in held if each.load]:
            balancer.released(rng.choice(busy))
        assert balancer.free == sum(each.limit - each.load for each in held)
        assert balancer.capacity == sum(each.limit for each in held)
