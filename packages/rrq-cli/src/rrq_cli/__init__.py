"""The ``rrq`` command: look at queues, jobs and dead letters, and act on them.

The command is the interface; there is nothing to import. Other wheels add commands through the entry-point
group ``rrq.commands`` (:mod:`rrq_cli.plugins`).
"""

__all__: list[str] = []
