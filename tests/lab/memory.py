# SPDX-License-Identifier: GPL-2.0
"""Does a domain's kernel give back what it took?"""

import time

from lab.channel import Domain
from lab.kernel import KERNEL

# Allocators keep some of what is freed, and readings of an idle dom0 differ by
# some megabytes; a real leak grows with every repetition and stays.
SLACK_KIB = 12 << 10
SLACK_EACH_KIB = 96
READINGS = 3
SETTLES_WITHIN_S = 20


def taken_kib(domain: Domain) -> int:
    """Memory that neither user space nor caches hold, in KiB."""
    text = domain.run("sync; echo 3 >/proc/sys/vm/drop_caches; sleep 0.5; cat /proc/meminfo")
    values = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()}
    return values["MemTotal"] - sum(values[name] for name in ("MemFree", "Buffers", "Cached", "AnonPages"))


class NoGrowth:
    """Checks, over the repetitions of a `with` block, that memory use does not grow.

    Not on kernels that watch themselves, which takes memory of its own; kmemleak
    finds what is lost.
    """

    def __init__(self, domain: Domain, repetitions: int):
        self._domain = domain
        self._allowed = SLACK_KIB + SLACK_EACH_KIB * repetitions

    def __enter__(self) -> None:
        if not KERNEL.reduced:
            self._before = max(taken_kib(self._domain) for _ in range(READINGS))

    def __exit__(self, kind, *_exc) -> None:
        if kind is not None or KERNEL.reduced:
            return
        # What is freed behind the scenes (RCU, work queues) takes its time.
        end = time.monotonic() + SETTLES_WITHIN_S
        while (grown := taken_kib(self._domain) - self._before) > self._allowed:
            assert time.monotonic() < end, f"{self._domain.name} holds {grown} KiB more than before"
