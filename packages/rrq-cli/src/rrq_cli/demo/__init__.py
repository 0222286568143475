"""``rrq demo``: the whole road from nothing, on real files.

Theory of operation. The demo only starts other programs and reads Redis: an embedded Valkey, an orchestrator
(which starts the runner processes) and a producer, each a process in a session of its own, so that a
terminal's Ctrl-C reaches the demo alone. Signals set a flag that every wait looks at; leaving
:class:`~rrq_cli.demo.children.Children` ends what was started, in order. A guard process holds the other end
of a pipe: should the demo be killed outright, the pipe closes and the guard ends the rest. What is left
afterwards, on purpose and only after a run to the end, is the Valkey server with the results.
"""

__all__: list[str] = []
