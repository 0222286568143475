"""What a measurement says: a line for each figure, and whether it is what was demanded."""

from collections.abc import Sequence

__all__ = ["Report"]


class Report:
    """Prints figures as they come.

    Attributes:
        missed: Demands that were not met.
    """

    def __init__(self) -> None:
        self.missed: list[str] = []

    def times(self, goal: str, what: str, samples: Sequence[float], most_s: float | None = None) -> None:
        """Tell quantiles of some times, of which the longest may be ``most_s``."""
        ordered = sorted(samples)
        if not ordered:
            self.demand(goal, f"{what}: no sample", met=False)
            return
        half, longest = ordered[len(ordered) // 2], ordered[-1]
        text = f"{what}: n={len(ordered)}, p50 {half:.3f} s, max {longest:.3f} s"
        if most_s is not None and longest > most_s:
            text = f"{text}, {sum(each > most_s for each in ordered)} over"
        if most_s is None:
            print(f"  {text}", flush=True)
        else:
            self.demand(f"{goal}", f"{text} (demanded: at most {most_s:g} s)", met=longest <= most_s)

    def least(self, goal: str, what: str, rounds: Sequence[float], most: float) -> None:
        """Tell costs, one for each round, of which the least may be ``most``: whatever else the machine does
        only adds to them.
        """
        text = f"{min(rounds):.3g} {what}, in {len(rounds)} rounds up to {max(rounds):.3g}"
        self.demand(goal, f"{text} (demanded: at most {most:g})", met=min(rounds) <= most)

    def demand(self, goal: str, text: str, *, met: bool) -> None:
        """Tell a figure that has to be what it is."""
        print(f"  {goal} {'met' if met else 'NOT MET'}: {text}", flush=True)
        if not met:
            self.missed.append(f"{goal}: {text}")
