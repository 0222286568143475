"""Helpers that tests of every wheel share. Imported as `support.…`; fixtures are in the root conftest.py."""
