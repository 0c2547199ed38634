# SPDX-License-Identifier: GPL-2.0
"""The kernel's usbtest driver in a guest, on a simulated device with isochronous endpoints."""

import pytest

from lab.simulated import Zero
from lab.usbtest import ISO_CASES, ISO_SIZE, failures, run_cases

ENDPOINTS = [{"speed": "full"}, {"speed": "high"}, {"speed": "high", "mult": 3}]


def check(guest, vusb, zero, counts):
    assert failures(run_cases(guest, vusb.usbfs(1), ISO_CASES, counts.usbtest, ISO_SIZE)) == {}
    for endpoint in (zero.ISO_IN, zero.ISO_OUT):
        count = zero.counters(endpoint)
        assert count["packets"] > 0 and count["late"] == 0, count
    assert zero.sink()["wrong"] == 0


@pytest.mark.covers("usbtest", "isochronous")
@pytest.mark.parametrize("options", ENDPOINTS, ids=lambda options: "-".join(map(str, options.values())))
def test_our_pair(guest, vusb, usbback, counts, options):
    with Zero(usbback.dom0, **options) as zero:
        usbback.add(vusb.rule(zero.busname, 1))
        guest.run("modprobe usbtest alt=1")
        zero.plug()
        vusb.wait_device(1)
        check(guest, vusb, zero, counts)


@pytest.mark.covers("usbtest", "isochronous", peer="the kernel's C frontend")
def test_stock_frontend(guest, stock_vusb, usbback, counts):
    """It grants its URBs' packet descriptors as they are."""
    guest.run("modprobe usbtest alt=1")
    with Zero(usbback.dom0) as zero:
        usbback.add(stock_vusb.rule(zero.busname, 1))
        zero.plug()
        stock_vusb.wait_device(1)
        check(guest, stock_vusb, zero, counts)
