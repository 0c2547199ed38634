# SPDX-License-Identifier: GPL-2.0
"""No function of the modules takes more of the stack than the kernel allows its C functions.

CONFIG_FRAME_WARN warns of C functions only. A kernel's stack has 16 KiB for all callers
of ours, and a URB may be submitted from deep in the network's or a disk's code.
"""

import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
# CONFIG_FRAME_WARN of Debian's kernel, in bytes.
ALLOWED = 2048
FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
FRAME = re.compile(r"\bsub\s+\$0x([0-9a-f]+),%rsp")


@pytest.mark.parametrize("module", ["usbbk.ko", "xen-hcd.ko"])
def test_frames_are_small(module):
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", TOP / module], capture_output=True, text=True, check=True)
    frames, function = {}, ""
    for line in listing.stdout.splitlines():
        if match := FUNCTION.match(line):
            function = match[1]
        elif match := FRAME.search(line):
            frames[function] = max(frames.get(function, 0), int(match[1], 16))
    assert len(frames) > 50, "hardly any function has a frame: is this the right listing?"
    large = {name: size for name, size in frames.items() if size > ALLOWED}
    assert not large
