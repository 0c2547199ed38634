# SPDX-License-Identifier: GPL-2.0
"""Where things are: the checkout, the cache, the images of one kernel release."""

import os
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("PVUSB_CACHE", "/var/cache/pvusb"))
LABS = CACHE / "labs"

# Debian merges /lib into /usr/lib; a module tree has the same path everywhere.
MODULES = "usr/lib/modules"


def release_of(images: Path) -> str:
    """The kernel release that a directory of images was made for."""
    return (images / "release").read_text().strip()
