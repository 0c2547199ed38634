# SPDX-License-Identifier: GPL-2.0
"""Either half is taken away under load, and comes back."""

import pytest

from lab import frontend as frontends
from lab.conftest import both_frontends
from lab.gadget import Stick
from lab.test_unplug import busy

BACKEND = "/sys/bus/xen-backend/devices/vusb-{domid}-0/driver"
FRONTEND = "/sys/bus/xen/devices/vusb-0/driver"


@pytest.fixture
def loaded_pair(guest, usbback, frontend):
    """A connected pair with a stick; afterwards everything is as at first."""
    vusb = usbback.vusb(guest)
    frontends.connect(vusb, frontend)
    with Stick(usbback.dom0, mib=4) as stick:
        yield vusb, stick
        usbback.load()
        usbback.clear()
    vusb.remove()


def give(usbback, vusb, stick):
    usbback.add(vusb.rule(stick.busname, 1))
    stick.plug()
    return busy(vusb.guest, vusb.wait_disk(1))


def test_rmmod_with_a_vusb_bound_says_in_use(guest, vusb):
    for domain, module in ((vusb.dom0, "usbbk"), (guest, "xen_hcd")):
        output, status = domain.try_run(f"rmmod {module}")
        assert status != 0
        assert "in use" in output


def test_memory_of_a_device_outlives_the_driver(guest, vusb):
    """The USB core looks into its controller's table when a process lets go of what it has mapped."""
    node = "$(printf /dev/bus/usb/%03d/001 $(cat /sys/bus/xen/devices/vusb-0/usb*/busnum))"
    holder = guest.job(f"exec storm --hold {node}")
    guest.wait("grep -q /dev/bus/usb/ /proc/[0-9]*/maps", 10, "nothing is mapped")
    guest.run(f"echo vusb-0 >{FRONTEND}/unbind; rmmod xen_hcd")
    assert holder.running(), holder.wait().output
    holder.kill()
    guest.run("modprobe xen-hcd")
    vusb.wait_connected()


@both_frontends
def test_backend_unbound_under_load(guest, usbback, counts, loaded_pair, frontend):
    vusb, stick = loaded_pair
    dom0 = usbback.dom0
    driver = BACKEND.format(domid=vusb.domid)
    for _ in range(counts.unbinds):
        job = give(usbback, vusb, stick)
        dom0.run(f"echo vusb-{vusb.domid}-0 >{driver}/unbind", 60)
        job.wait()
        vusb.wait_no_device(1)
        usbback.clear()
        assert usbback.grabbed() == []
        usbback.unload()
        stick.unplug()
        stick.wait_absent()
        # A fresh start of both halves, as after an administrator's upgrade.
        usbback.load()
        vusb.remove()
        frontends.unload(guest)
        frontends.connect(vusb, frontend)


@pytest.mark.stock_cannot("unbinding the frontend", "it frees its rings and leaves its host controller there")
def test_frontend_unbound_under_load(guest, usbback, counts, loaded_pair):
    vusb, stick = loaded_pair
    for _ in range(counts.unbinds):
        job = give(usbback, vusb, stick)
        guest.run(f"echo vusb-0 >{FRONTEND}/unbind", 60)
        job.wait()
        guest.run("rmmod xen_hcd")
        vusb.wait_port_status(1, "3")  # the device stays the guest's while its rule lives
        stick.unplug()
        vusb.wait_port_status(1, "0")
        usbback.clear()
        guest.run("modprobe xen-hcd")
        vusb.wait_connected()
