"""Signals become a flag that waits look at."""

import os
import signal
import threading
import time

import pytest

from rrq_cli.demo.interrupts import Interrupted, Interrupts


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_next_wait(name: signal.Signals) -> None:
    """Work goes on undisturbed until it looks; then it ends. Further signals are counted."""
    before = signal.getsignal(name)
    with Interrupts() as interrupts:
        interrupts.check()
        interrupts.wait(0)
        os.kill(os.getpid(), name)
        with pytest.raises(Interrupted):
            interrupts.check()
        with pytest.raises(Interrupted):
            interrupts.wait(60)
        os.kill(os.getpid(), name)
        assert interrupts.count == 2
    assert signal.getsignal(name) is before


def test_a_signal_ends_a_wait_that_has_begun() -> None:
    """A long wait ends at once."""
    with Interrupts() as interrupts:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        began = time.monotonic()
        with pytest.raises(Interrupted):
            interrupts.wait(60)
        assert time.monotonic() - began < 10
        timer.join()
