"""For tests/interop: the public line, version 0.11.1, beside ours on one Redis.

Its wheel has an environment of its own, for its package and ours must never meet; its crates are built
outside the tree. Both are kept for the next run.
"""
