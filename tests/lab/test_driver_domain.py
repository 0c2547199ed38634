# SPDX-License-Identifier: GPL-2.0
"""The backend in an unprivileged domain serves another guest, set up by init_xs.sh --backend."""

import pytest

from lab.gadget import Stick
from lab.usbback import DRIVER

MIB = 8


@pytest.mark.covers("mass storage (BOT)", "bulk control", domain="PV guest, backend in a driver domain")
def test_a_stick_through_a_driver_domain(dom0, guest, server):
    guest.run("modprobe xen-hcd")
    vusb = server.vusb(guest)
    vusb.create()
    vusb.wait_connected()
    with Stick(server, mib=MIB) as stick:
        digest = stick.fill()
        rule = vusb.rule(stick.busname, 1)
        server.add(rule)
        stick.plug()
        disk = vusb.wait_disk(1)
        assert server.run(f"cat {DRIVER}/grabbed_devices") == f"{stick.busname}:1.0\n"
        assert vusb.port_status(1) == "3"
        assert guest.run(f"md5sum </dev/{disk}", 120) == digest
        guest.run(f"dd if=/dev/urandom of=/dev/{disk} bs=1M count={MIB} oflag=direct 2>/dev/null", 120)
        assert stick.digest() == guest.run(f"echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/{disk}", 120)
        stick.unplug()
        vusb.wait_no_device(1)
        server.run(f"echo {rule} >{DRIVER}/remove_vport")
        assert server.run(f"cat {DRIVER}/vports {DRIVER}/reserved_ports") == ""
    vusb.remove()
    server.run("rmmod usbbk")


def test_a_driver_domain_that_dies(dom0, guest, server):
    """The guest's transfers end with an error, and the dead backend's controller can be removed."""
    guest.run("modprobe xen-hcd")
    vusb = server.vusb(guest)
    vusb.create()
    vusb.wait_connected()
    stick = Stick(server, mib=MIB)
    server.add(vusb.rule(stick.busname, 1))
    stick.plug()
    disk = vusb.wait_disk(1)
    reader = guest.job(f"while dd if=/dev/{disk} of=/dev/null bs=120k iflag=direct 2>/dev/null; do :; done")
    server.destroy()
    reader.wait(60)
    vusb.remove()
