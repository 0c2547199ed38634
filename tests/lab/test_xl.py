# SPDX-License-Identifier: GPL-2.0
"""Devices assigned by xl: attach, list, use, detach, again; and from the configuration."""

import pytest

from lab import frontend as frontends
from lab.conftest import both_frontends
from lab.gadget import Stick
from lab.xl import Xl, host_address


@pytest.fixture
def xl(guest, usbback, frontend):
    frontends.load(guest, frontend)
    return Xl(usbback.dom0, guest)


@pytest.fixture
def stick(dom0):
    """A stick that dom0's own driver has, as any that is plugged in without a rule."""
    with Stick(dom0, mib=4) as stick:
        stick.fill()
        stick.plug().wait_present()
        wait_host_driver(stick)
        yield stick


def wait_host_driver(stick):
    stick.dom0.wait(
        f'[ "$(basename "$(readlink {stick.sysfs}/{stick.busname}:1.0/driver)")" = usb-storage ]', 60,
        "dom0's usb-storage does not have the stick",
    )  # fmt: skip


def assert_same_data(stick, guest, disk):
    outside = stick.digest()
    assert guest.run(f"echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/{disk}", 120) == outside


@pytest.mark.covers("mass storage (BOT)", "bulk control", domain="PV guest, device assigned by xl")
@both_frontends
def test_attach_use_detach(xl, stick, guest, counts, frontend):
    for _ in range(counts.xl_cycles):
        vusb = xl.attach_controller()
        vusb.request_kib = frontends.limit(frontend)
        xl.attach(stick)
        bus, address = host_address(stick)
        assert f"Port 1: Bus {bus:03x} Device {address:03x}" in xl.list()
        assert_same_data(stick, guest, vusb.wait_disk(1))
        xl.detach()
        vusb.wait_no_device(1)
        assert vusb.port_status(1) == "0"
        wait_host_driver(stick)
        xl.detach_controller()
        assert stick.dom0.xenstore(vusb.backend) is None


def test_detaching_the_controller_detaches_its_devices(xl, stick, guest):
    vusb = xl.attach_controller()
    xl.attach(stick, port=2)
    vusb.wait_disk(2)
    xl.detach_controller()
    wait_host_driver(stick)
    guest.wait("[ ! -e /sys/bus/xen/devices/vusb-0 ]", 30, "the controller is still in the guest")


def test_from_the_configuration(lab, usbback, stick):
    bus, address = host_address(stick)
    guest = lab.guest(3)
    guest.start(
        frontend="ours",
        config=f'usbctrl = ["type=pv,version=2,ports=4"]\nusbdev = ["hostbus={bus},hostaddr={address},controller=0,port=1"]',
    )
    try:
        vusb = usbback.vusb(guest)
        vusb.wait_connected()
        assert_same_data(stick, guest, vusb.wait_disk(1))
    finally:
        guest.destroy()
    wait_host_driver(stick)


def test_unplug(xl, stick, guest, usbback):
    """Pulled out: libxl's node is cleared, what comes there next is nobody's until it is attached."""
    vusb = xl.attach_controller()
    xl.attach(stick)
    vusb.wait_disk(1)
    stick.unplug()
    vusb.wait_no_device(1)
    vusb.wait_port_status(1, "0")
    stick.dom0.wait(f'[ -z "$(xenstore-read {vusb.backend}/port/1)" ]', 30, "port/1 still names the device")

    stick.plug().wait_present()
    stick.dom0.run("udevadm settle")
    assert set(stick.drivers().values()) <= {""}, "a guest may have reprogrammed it: no host driver before an administrator says so"
    assert stick.dom0.run(f"cat {stick.sysfs}/bConfigurationValue").strip() == ""
    assert usbback.reserved() == [vusb.rule(stick.busname, 1)]

    xl.attach(stick)
    assert_same_data(stick, guest, vusb.wait_disk(1))
    xl.detach()
    wait_host_driver(stick)
    xl.detach_controller()
