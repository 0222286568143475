"""Jobs on a schedule (RELIABILITY.md 6.8, F51 to F55): which ticks an expression has, which of them are due,
and the service that enqueues one job for each.

Pure are ``expression`` (the text), ``schedule`` (its ticks in a time zone), ``ticks`` (what is due now, and
what becomes of what was missed), ``entries`` (from the settings to these) and ``strays`` (jobs that nobody
would execute). ``service`` asks Redis and acts.
"""

from rrq_orchestrator.cron.entries import CronEntry, cron_entries, cron_problems
from rrq_orchestrator.cron.strays import ENTRY_REFUSED, strays, watched_queues

__all__ = ["CronEntry", "ENTRY_REFUSED", "cron_entries", "cron_problems", "strays", "watched_queues"]
