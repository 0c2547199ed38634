# SPDX-License-Identifier: GPL-2.0
"""Which kernel dom0 and the guests run: PVUSB_KERNEL is `stock` or `debug`.

The debug kernel (scripts/debug-kernel) watches every memory access, lock and
allocation. That takes memory and several times the time.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from lab import paths

# An emulated processor does not speculate: what is done against that takes a tenth of the time for nothing.
QUICK = "mitigations=off"


@dataclass(frozen=True)
class Kernel:
    """What a lab with this kernel needs; sizes in MiB."""

    machine: int
    dom0: int
    guest: int
    small_guest: int
    # How many times longer than on an idle machine and the stock kernel a limit is.
    patience: float
    # Whether kmemleak and lockdep are there to be asked.
    watches: bool
    # Where the modules for it are built.
    modules: Path
    # For its command line, in dom0 and guests.
    arguments: str

    @property
    def kunit(self) -> bool:
        """Whether it can run KUnit's suites, whose module is built for such kernels only."""
        return self.watches or (self.modules / "pvusb_kunit.ko").exists()


KERNELS = {
    "stock": Kernel(3840, 1536, 384, 256, 5, False, paths.TOP, QUICK),
    # All of SLUB's checks but keeping the callers, for which each allocation unwinds the stack twice.
    "debug": Kernel(6144, 2048, 768, 512, 20, True, paths.TOP / "build/debug", f"{QUICK} slab_debug=FZP"),
}
NAME = os.environ.get("PVUSB_KERNEL", "stock")
KERNEL = KERNELS[NAME]
