"""How fast RRQ is: throughput, latency, enqueue, idle cost, growth, beside the public RRQ in the same run.

Run it with ``make bench`` or ``python -m benchmarks [NAME …]``; ``--help`` lists the options. A benchmark is
not a test: nothing here judges a figure. Absolute figures move from run to run and from machine to machine,
so compare only what one run measured, and quote ratios of medians.
"""

__all__: list[str] = []
