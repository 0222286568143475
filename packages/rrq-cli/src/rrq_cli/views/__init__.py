"""How results look to people: one function per shape, all with the same arguments, ``(console, value)``."""

__all__: list[str] = []
