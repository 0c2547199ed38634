# SPDX-License-Identifier: GPL-2.0
"""The kernel's own usbtest driver in a guest, on a gadget plugged into dom0."""

import pytest

from lab.conftest import every_pair
from lab.gadget import SourceSink
from lab.usbtest import CASES, failures, run_cases

SIZES = (1, 511, 512, 4096, 65536, 131072, 400000)


@pytest.fixture
def node(guest, vusb, usbback):
    """usbfs node, in the guest, of a source/sink gadget that usbtest has bound."""
    with SourceSink(usbback.dom0) as gadget:
        usbback.add(vusb.rule(gadget.busname, 1))
        gadget.plug()
        guest.run("modprobe usbtest")
        vusb.wait_device(1)
        yield vusb.usbfs(1)


@pytest.mark.covers("usbtest", "control bulk")
@every_pair
def test_cases(guest, node, counts):
    assert failures(run_cases(guest, node, CASES, counts.usbtest)) == {}


@pytest.mark.stock_cannot("transfers of more than 16 pages", "it makes one request of a URB, and a request has 16 pages; disks can be told to make shorter ones")
def test_bulk_transfers_of_any_size(guest, node):
    """One URB on either side of a page, of the wire's 16 pages and of the u16 length."""
    for size in SIZES:
        # The gadget sends whole packets: a read that ends within one would be babble.
        whole = -(-size // 512) * 512
        for case, length in ((1, size), (17, size), (2, whole), (18, whole)):
            output = guest.run(f"testusb -D {node} -t {case} -c 4 -s {length}", 120)
            assert f"test {case}, " in output
