# SPDX-License-Identifier: GPL-2.0
"""Both halves count the same transfers."""

from lab.counters import grown, halves
from lab.gadget import Stick

MIB = 4
NAMES = {"submitted", "completed", "errors", "unlinked", "bytes_in", "bytes_out", "ring_full", "spurious_events"}


def test_the_file_of_2009(guest, vusb):
    """Kernels have no usb_host class any more; the file is on the controller's device."""
    path = f"/sys/bus/usb/devices/usb{vusb.bus()}/../statistics"
    first, second = guest.run(f"cat {path}").splitlines()
    assert first == f"bus {vusb.bus()}, backend in domain 0"
    assert second.split()[::2] == ["submit", "complete", "error", "unlink", "ring_full"]


def test_bytes_and_requests(guest, vusb, usbback):
    with Stick(usbback.dom0, mib=MIB) as stick:
        usbback.add(vusb.rule(stick.busname, 1))
        stick.plug()
        disk = vusb.wait_disk(1)
        guest.run("udevadm settle 2>/dev/null; sync")
        before = halves(vusb)
        assert all(set(half) == NAMES for half in before)
        guest.run(f"dd if=/dev/{disk} of=/dev/null bs=1M iflag=direct 2>/dev/null", 120)
        guest.run(f"dd if=/dev/zero of=/dev/{disk} bs=1M count={MIB} oflag=direct 2>/dev/null", 120)
        moved = grown(before, halves(vusb))
    for half in moved:
        # The data, and the class driver's own blocks around it: 31 bytes out and 13 in for each command.
        assert MIB << 20 <= half["bytes_in"] < (MIB << 20) + (64 << 10)
        assert MIB << 20 <= half["bytes_out"] < (MIB << 20) + (64 << 10)
        assert half["errors"] == half["unlinked"] == 0
        assert half["completed"] == half["submitted"] > 0
    assert moved[0]["bytes_in"] == moved[1]["bytes_in"]
    assert moved[0]["bytes_out"] == moved[1]["bytes_out"]
    # A URB of 120 KiB is one request between our halves.
    assert moved[0]["submitted"] == moved[1]["submitted"]
