# SPDX-License-Identifier: GPL-2.0
"""Where things are: the checkout, the cache, the images of one kernel release."""

import os
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("PVUSB_CACHE", "/var/cache/pvusb"))
LABS = CACHE / "labs"

# Debian merges /lib into /usr/lib; a module tree has the same path everywhere.
MODULES = "usr/lib/modules"


def release_of(images: Path, kind: str = "dom0") -> str:
    """The release of the kernel that dom0 or the guests have in a directory of images."""
    return (images / ("release" if kind == "dom0" else "guest-release")).read_text().strip()
