# SPDX-License-Identifier: GPL-2.0
"""Both halves count the same transfers."""

import pytest

from lab.gadget import Stick

MIB = 4
NAMES = {"submitted", "completed", "errors", "unlinked", "bytes_in", "bytes_out", "ring_full", "spurious_events"}


def counters(domain, device):
    lines = domain.run(f"cd {device}/counters && grep . *").splitlines()
    return {name: int(value) for name, _, value in (line.partition(":") for line in lines)}


@pytest.fixture
def halves(guest, vusb):
    """Reads both: the frontend's, the backend's."""
    front = f"/sys/bus/xen/devices/vusb-{vusb.number}"
    back = f"/sys/bus/xen-backend/devices/vusb-{vusb.domid}-{vusb.number}"
    return lambda: (counters(guest, front), counters(vusb.dom0, back))


def test_the_file_of_2009(guest, vusb):
    """Kernels have no usb_host class any more; the file is on the controller's device."""
    path = f"/sys/bus/usb/devices/usb{vusb.bus()}/../statistics"
    first, second = guest.run(f"cat {path}").splitlines()
    assert first == f"bus {vusb.bus()}, backend in domain 0"
    assert second.split()[::2] == ["submit", "complete", "error", "unlink", "ring_full"]


def test_bytes_and_requests(guest, vusb, usbback, halves):
    with Stick(usbback.dom0, mib=MIB) as stick:
        usbback.add(vusb.rule(stick.busname, 1))
        stick.plug()
        disk = vusb.wait_disk(1)
        guest.run("udevadm settle 2>/dev/null; sync")
        front, back = halves()
        assert set(front) == set(back) == NAMES
        guest.run(f"dd if=/dev/{disk} of=/dev/null bs=1M iflag=direct 2>/dev/null", 120)
        guest.run(f"dd if=/dev/zero of=/dev/{disk} bs=1M count={MIB} oflag=direct 2>/dev/null", 120)
        after = halves()
    moved = [{name: now[name] - before[name] for name in NAMES} for before, now in zip((front, back), after)]
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
