# SPDX-License-Identifier: GPL-2.0
"""Which kernel dom0 and the guests run: PVUSB_KERNEL is `stock`, `debug` or `kasan`.

The debug kernel (scripts/debug-kernel) watches every lock and allocation. That takes
memory and several times the time. With `kasan`, dom0 has the stock kernel and guests
one that watches every access to memory; only PVH guests can boot that.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from lab import paths

# An emulated processor does not speculate: what is done against that takes a tenth of the time for nothing.
# And KUnit runs what a module brings only when told to.
ALWAYS = "mitigations=off kunit.enable=1 kunit.autorun=1"


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
    # Where the modules for it are built, and those for the guests' kernel.
    modules: Path
    guest_modules: Path
    # The kind that guests are of where nobody says so.
    guest_type: str
    # For its command line, in dom0 and guests.
    arguments: str

    @property
    def kunit(self) -> bool:
        """Whether guests can run KUnit's suites, whose module is built for such kernels only."""
        return self.reduced or (self.guest_modules / "pvusb_kunit.ko").exists()

    @property
    def reduced(self) -> bool:
        """Whether tests run in few rows and small counts: what it looks for shows in any."""
        return self is not KERNELS["stock"]

    def for_guests(self, module: Path) -> Path:
        """A module under test as the guests' kernel takes it."""
        return module if self.guest_modules == self.modules else self.guest_modules / module.name


DEBUG = paths.TOP / "build/debug"
KERNELS = {
    "stock": Kernel(3840, 1536, 384, 256, 5, False, paths.TOP, paths.TOP, "pv", ALWAYS),
    # All of SLUB's checks but keeping the callers, for which each allocation unwinds the stack twice.
    "debug": Kernel(6144, 2048, 768, 512, 20, True, DEBUG, DEBUG, "pv", f"{ALWAYS} slab_debug=FZP"),
    "kasan": Kernel(5120, 1536, 768, 512, 20, False, paths.TOP, paths.TOP / "build/kasan", "pvh", ALWAYS),
}
NAME = os.environ.get("PVUSB_KERNEL", "stock")
KERNEL = KERNELS[NAME]
