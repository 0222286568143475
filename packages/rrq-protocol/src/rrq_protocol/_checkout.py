"""Marks a checkout, where :mod:`rrq_protocol.testing` honours its variables. No wheel holds this file."""

__all__: list[str] = []
