"""Jobs on a schedule (RELIABILITY.md 6.8, F51 to F55): which ticks an expression has, which of them are due,
and the service that enqueues one job for each.

Pure are ``expression`` (the text), ``schedule`` (its ticks in a time zone), ``ticks`` (what is due now, and
what becomes of what was missed) and ``entries`` (from the settings to these). ``service`` asks Redis and
acts.
"""

from rrq_orchestrator.cron.entries import CronEntry, cron_entries, cron_problems

__all__ = ["CronEntry", "cron_entries", "cron_problems"]
