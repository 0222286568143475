"""Which process gets the next request: the least loaded one, found without looking at all of them."""

from typing import Generic, Protocol, TypeVar

__all__ = ["Balancer", "Member"]


class Member(Protocol):
    """What is balanced. The balancer alone changes ``load`` while it holds the member."""

    load: int
    """Requests it holds."""
    limit: int
    """Most requests it takes."""


M = TypeVar("M", bound=Member)


class Balancer(Generic[M]):
    """Members by load. Choosing, taking and releasing take the same time whatever their number.

    ``_levels[n]`` holds the members of load ``n`` that have room; no level below ``_lowest`` holds any.

    Attributes:
        free: Requests that all members together could still take.
        capacity: Sum of their limits.
    """

    def __init__(self) -> None:
        self.free = 0
        self.capacity = 0
        self._members: dict[M, None] = {}
        self._levels: list[dict[M, None]] = []
        self._lowest = 0

    def __contains__(self, member: M) -> bool:
        return member in self._members

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: M) -> None:
        """Let a member take requests."""
        while len(self._levels) < member.limit:
            self._levels.append({})
        self._members[member] = None
        self.capacity += member.limit
        self.free += max(0, member.limit - member.load)
        self._enlist(member)

    def remove(self, member: M) -> bool:
        """Let a member take no more requests. Return False if it was not held."""
        if member not in self._members:
            return False
        del self._members[member]
        self.capacity -= member.limit
        self.free -= max(0, member.limit - member.load)
        if member.load < member.limit:
            del self._levels[member.load][member]
        return True

    def pick(self) -> M | None:
        """Return a least loaded member with room, None if all are full."""
        levels, level = self._levels, self._lowest
        while level < len(levels):
            if levels[level]:
                self._lowest = level
                return next(iter(levels[level]))
            level += 1
        self._lowest = level
        return None

    def taken(self, member: M) -> None:
        """Count one more request of a member that has room."""
        del self._levels[member.load][member]
        member.load += 1
        self.free -= 1
        if member.load < member.limit:
            self._levels[member.load][member] = None

    def released(self, member: M) -> None:
        """Count one request less of a held member."""
        if member.load < member.limit:
            del self._levels[member.load][member]
        member.load -= 1
        if member.load < member.limit:
            self.free += 1
            self._enlist(member)

    def _enlist(self, member: M) -> None:
        if member.load < member.limit:
            self._levels[member.load][member] = None
            self._lowest = min(self._lowest, member.load)
