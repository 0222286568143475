"""The handler of the benchmarks, for RRQ."""

from rrq_runner import Registry

registry = Registry()


@registry.handler("noop")
async def noop() -> None:
    """Do nothing."""
