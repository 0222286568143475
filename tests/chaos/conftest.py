"""The tests of the bench always run, its short form with `RRQ_TEST_CHAOS=1`: it wants a quiet machine."""

import os

collect_ignore = [] if os.environ.get("RRQ_TEST_CHAOS") else ["test_chaos.py"]
