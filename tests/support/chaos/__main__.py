"""``make chaos``: rounds until the time is up, their numbers, exit code 1 at the first failure."""

import signal
import sys
import time

import msgspec

from support.chaos.bench import run_round
from support.chaos.figures import Figures, lines_of, total
from support.chaos.options import parse
from support.redis_choice import NoRedis, for_most

__all__ = ["main"]


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    options = parse()
    # So that the stage is cleared as after an interrupt from the keyboard.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        print(f"redis: {for_most()}")
    except NoRedis as error:
        print(error, file=sys.stderr)
        return 2
    until = time.monotonic() + options.hours * 3600
    seeds = options.seed
    rounds: list[Figures] = []
    while True:
        this = msgspec.structs.replace(options, hours=0.0)
        print(f"\nround {len(rounds) + 1}: {this.repeat()}", flush=True)
        outcome = run_round(this, lambda text: print(f"  {text}", flush=True))
        rounds.append(outcome.figures)
        if outcome.findings:
            print(f"\n{len(outcome.findings)} findings:", *outcome.report, sep="\n  ")
            print(f"\nrepeat its choices with: {this.repeat()}\neverything is in {outcome.folder}")
            break
        print("", *lines_of(outcome.figures), sep="\n  ", flush=True)
        if time.monotonic() >= until:
            break
        options = msgspec.structs.replace(options, seed=(seeds + len(rounds)) % 2**31)
    if len(rounds) > 1:
        took_s = sum(each.took_s for each in rounds)
        print(f"\n{len(rounds)} rounds in {took_s / 60:.0f} min", *lines_of(total(rounds)), sep="\n  ")
    return int(bool(outcome.findings))


if __name__ == "__main__":
    sys.exit(main())
