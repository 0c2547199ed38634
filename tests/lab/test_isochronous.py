# SPDX-License-Identifier: GPL-2.0
"""The kernel's usbtest driver in a guest, on a simulated device with isochronous endpoints."""

import pytest

from lab.simulated import Zero
from lab.usbtest import ISO_CASES, ISO_SIZE, failures, run_cases

# Speed, packets of a microframe. The C frontend grants its URBs' packet descriptors as they are.
ENDPOINTS = [("full", 1, "ours"), ("high", 1, "ours"), ("high", 3, "ours"), ("full", 1, "stock")]


@pytest.mark.covers("usbtest", "isochronous")
@pytest.mark.parametrize("speed,mult,frontend", ENDPOINTS, scope="module")
def test_cases(guest, vusb, usbback, counts, speed, mult):
    with Zero(usbback.dom0, speed=speed, mult=mult) as zero:
        usbback.add(vusb.rule(zero.busname, 1))
        guest.run("modprobe usbtest alt=1")
        zero.plug()
        vusb.wait_device(1)
        assert failures(run_cases(guest, vusb.usbfs(1), ISO_CASES, counts.usbtest, ISO_SIZE)) == {}
        for endpoint in (zero.ISO_IN, zero.ISO_OUT):
            count = zero.counters(endpoint)
            assert count["packets"] > 0 and count["late"] == 0, count
        assert zero.sink()["wrong"] == 0
