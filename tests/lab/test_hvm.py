# SPDX-License-Identifier: GPL-2.0
"""A guest with an emulated machine around it: its USB is paravirtual all the same."""

import pytest

from lab.gadget import SourceSink, Stick
from lab.test_xl import wait_host_driver
from lab.usbtest import failures, run_cases
from lab.xl import Xl

MIB = 1
# Control transfers, some of them queued; bulk both ways.
CASES = (9, 10, 1, 2)
COUNT = 4


@pytest.fixture
def guest(lab, usbback):
    """Booted by QEMU from kernel and ramdisk, with a controller of xl's."""
    guest = lab.guest(3)
    guest.start(type="hvm", frontend="ours", config='usbctrl = ["type=pv,version=2,ports=4"]')
    assert "Xen HVM" in guest.run("dmesg | grep 'paravirtualized kernel'")
    yield guest
    guest.destroy()


@pytest.mark.stock_kernel("the debug kernel has no bzImage, which QEMU boots")
@pytest.mark.covers("mass storage (BOT)", "bulk control", domain="HVM guest")
@pytest.mark.covers("usbtest", "bulk control", domain="HVM guest")
def test_smoke(guest, usbback):
    """A stick through a controller of xl's, a tester through one of the 2009 script's."""
    dom0 = usbback.dom0
    vusb = usbback.vusb(guest)
    vusb.wait_connected()
    with Stick(dom0, mib=MIB) as stick:
        digest = stick.fill()
        stick.plug().wait_present()
        wait_host_driver(stick)
        Xl(dom0, guest).attach(stick)
        disk = vusb.wait_disk(1)
        assert guest.run(f"md5sum </dev/{disk}", 120) == digest
        written = guest.run(f"dd if=/dev/urandom bs=1M count={MIB} 2>/dev/null | tee /dev/{disk} | md5sum; sync", 120)
        assert stick.digest() == written
        stick.unplug()
        vusb.wait_no_device(1)

    second = usbback.vusb(guest, 8)
    second.create()
    second.wait_connected()
    with SourceSink(dom0, 1) as gadget:
        usbback.add(second.rule(gadget.busname, 1))
        gadget.plug()
        second.wait_device(1)
        assert failures(run_cases(guest, second.usbfs(1), CASES, COUNT)) == {}
    second.remove()
