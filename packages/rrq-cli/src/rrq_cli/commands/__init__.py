"""The subcommands of ``rrq``, one module per noun, imported when called (:mod:`rrq_cli.plugins`)."""

__all__: list[str] = []
