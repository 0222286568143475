"""``python -m rrq_cli`` is ``rrq``."""

from rrq_cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
