"""The pages of README and docs as programs: found, parsed, run block by block, and checked.

What a block does is said by its language, its first line, and the HTML comment right above it; docs/README.md
tells authors the rules. A fence inside a comment is a block like any other that readers do not see.
"""

from pathlib import Path

from support.rules import ROOT

__all__ = ["page_paths"]


def page_paths(root: Path = ROOT) -> list[Path]:
    """Return every page that is a document: README, docs, and the wheels' own READMEs, sorted."""
    return sorted([root / "README.md", *root.glob("docs/**/*.md"), *root.glob("packages/*/README.md")])
