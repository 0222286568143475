"""Reading and changing what RRQ keeps in Redis; results are the shapes of :mod:`rrq_cli.shapes`."""

__all__: list[str] = []
