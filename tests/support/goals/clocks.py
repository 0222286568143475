"""The server's clock jumps under orchestrators at work. Needs a C compiler."""

import os
import random
import shutil
import struct
import subprocess
import time
from functools import partial
from pathlib import Path

from support.chaos.ledger import read_witness
from support.goals.report import Report
from support.goals.site import Site, site

__all__ = ["clock"]

# Loaded into the server before its C library: the time of day moves by the seconds in a file.
_SHIM = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *offset;

__attribute__((constructor)) static void map(void) {
    int file = open(getenv("GOALS_CLOCK"), O_RDONLY);
    void *page = file < 0 ? MAP_FAILED : mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    offset = page == MAP_FAILED ? 0 : page;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec + (offset ? *offset : 0);
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}
"""
_HOUR_S, _EVERY_S, _LATE_S = 3600, 20.0, 2.0


def clock(report: Report, rng: random.Random, jumps: int) -> None:
    """G13: forward and back by up to an hour, every 20 s."""
    if (compiler := shutil.which("cc")) is None:
        print("  left out: there is no C compiler")
        return
    asked: dict[str, float] = {}
    with site(rng) as place:
        offset = _restart_with_shim(place, compiler)
        jumped = 0.0
        for number in range(jumps):
            _set(offset, (1 if number % 2 == 0 else -1) * rng.randint(_HOUR_S // 2, _HOUR_S))
            jumped = max(jumped, abs(_server_time(place) - time.time()))
            until = time.monotonic() + _EVERY_S
            while time.monotonic() < until:
                at = time.monotonic()
                asked |= dict.fromkeys(place.enqueue("quick", 2), at)
                place.stage.wait(lambda: False, 0.1)
        _set(offset, 0)
        place.wait("all jobs to start", partial(_all_started, place, asked))
        late_s = [
            seen.at - asked[seen.job] for seen in read_witness(place.stage.witness) if seen.what == "start"
        ]
        fenced = place.told("orchestrator.fenced")
    report.times("G13", f"jobs that are due, over {jumps} jumps of the server's clock", late_s, _LATE_S)
    text = f"{fenced} orchestrators declared dead, 0 of {len(asked)} jobs lost; up to {jumped:.0f} s seen"
    report.demand("G13", text, met=not fenced and jumped > _HOUR_S / 2 - 60)


def _restart_with_shim(place: Site, compiler: str) -> Path:
    folder = place.stage.folder
    source, library, offset = folder / "clock.c", folder / "clock.so", folder / "clock"
    source.write_text(_SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    _set(offset, 0)
    place.stage.server.stop()
    os.environ |= {"LD_PRELOAD": str(library), "GOALS_CLOCK": str(offset)}
    try:
        place.stage.server.start()
    finally:
        del os.environ["LD_PRELOAD"], os.environ["GOALS_CLOCK"]
    return offset


def _set(offset: Path, seconds: int) -> None:
    # In place: the server has this file mapped.
    with offset.open("r+b" if offset.exists() else "wb") as file:
        file.write(struct.pack("q", seconds))


def _server_time(place: Site) -> float:
    seconds, micros = place.stage.client.time()
    return float(seconds) + micros / 1e6


def _all_started(place: Site, asked: dict[str, float]) -> bool:
    return asked.keys() <= {seen.job for seen in read_witness(place.stage.witness)}
