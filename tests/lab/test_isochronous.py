# SPDX-License-Identifier: GPL-2.0
"""The kernel's usbtest driver in a guest, on a simulated device with isochronous endpoints."""

import pytest

from lab.simulated import Zero
from lab.usbtest import ISO_CASES, ISO_SIZE, failures, run_cases

ENDPOINTS = [{"speed": "full"}, {"speed": "high"}, {"speed": "high", "mult": 3}]


@pytest.mark.parametrize("options", ENDPOINTS, ids=lambda options: "-".join(map(str, options.values())))
def test_our_pair(guest, vusb, usbback, counts, options):
    with Zero(usbback.dom0, **options) as zero:
        usbback.add(vusb.rule(zero.busname, 1))
        guest.run("modprobe usbtest alt=1")
        zero.plug()
        vusb.wait_device(1)
        assert failures(run_cases(guest, vusb.usbfs(1), ISO_CASES, counts.usbtest, ISO_SIZE)) == {}
        for endpoint in (zero.ISO_IN, zero.ISO_OUT):
            count = zero.counters(endpoint)
            assert count["packets"] > 0 and count["late"] == 0, count
        assert zero.sink()["wrong"] == 0
