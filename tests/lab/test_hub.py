# SPDX-License-Identifier: GPL-2.0
"""A hub stays with dom0; what is behind it goes to guests by ports of its own."""

import hashlib

import pytest

from lab.emulated import Disk, Hub, Keyboard
from lab.evdev import EV_KEY, PER_KEY, Recorder

REFUSED = "not for a guest: it is a hub; write rules for the ports of the hub instead"
MIB = 1
# Two ways to take a hub's ports away and make them anew, with all that is behind it.
AWAY_AND_BACK = [
    ("echo 0 >{hub.sysfs}/authorized", "echo 1 >{hub.sysfs}/authorized"),
    ("echo {hub.busname} >/sys/bus/usb/drivers/usb/unbind", "echo {hub.busname} >/sys/bus/usb/drivers/usb/bind"),
]


@pytest.fixture(params=["uhci", "xhci"])
def hub(lab, usbback, request):
    with Hub(lab.dom0, lab.monitor, request.param) as hub:
        yield hub


def said(dom0, busname):
    return dom0.wait(f"dmesg | grep 'usb {busname}: {REFUSED}'", 30, "no message says what to do")


def driver_of(dom0, hub):
    return dom0.wait(f"basename $(readlink {hub.sysfs}/{hub.busname}:1.0/driver)", 30, "the hub has no driver")


def test_rule_before_the_hub(vusb, usbback, hub):
    """It is given to the host with a message."""
    dom0 = usbback.dom0
    dom0.run("dmesg -C")
    usbback.add(vusb.rule(hub.busname, 1))
    hub.plug().wait_present()
    assert said(dom0, hub.busname)
    assert driver_of(dom0, hub) == "hub"
    assert usbback.grabbed() == []
    assert vusb.port_status(1) == "0"


def test_rule_after_the_hub(vusb, usbback, hub):
    """The rule is not taken, and a message says why."""
    dom0 = usbback.dom0
    hub.plug().wait_present()
    assert driver_of(dom0, hub) == "hub"
    dom0.run("dmesg -C")
    assert usbback.write("new_vport", vusb.rule(hub.busname, 1)) == ["EBUSY"]
    assert said(dom0, hub.busname)
    assert usbback.rules() == []


@pytest.mark.covers("mass storage and keyboard behind a hub", "bulk interrupt control")
@pytest.mark.parametrize(
    "hub",
    ["uhci", "xhci"],
    indirect=True,
)
def test_devices_behind_it(lab, guest, vusb, usbback, hub, tmp_path):
    """Two of them, one named before the hub is there; both come back when the hub does."""
    dom0 = usbback.dom0
    with (
        Disk(dom0, lab.monitor, hub.controller, tmp_path / "disk", mib=MIB, port="1.2") as disk,
        Keyboard(dom0, lab.monitor, hub.controller, port="1.3") as keyboard,
    ):
        usbback.add(vusb.rule(disk.busname, 1))
        hub.plug().wait_present()
        usbback.add(vusb.rule(keyboard.busname, 2))
        disk.plug()
        keyboard.plug()
        for away, back in (*AWAY_AND_BACK, (None, None)):
            name = vusb.wait_disk(1)
            written = guest.run(f"head -c {MIB << 20} /dev/urandom | tee /dev/{name} | md5sum; sync", 120)
            assert hashlib.md5(disk.data).hexdigest() == written.split()[0]
            recorder = Recorder(guest, vusb.wait_device(2))
            keyboard.press("a", "b")
            recorder.wait(4 * PER_KEY, "fewer than 4 key events")
            keys = recorder.events(EV_KEY)
            recorder.stop()
            assert keys == [(30, 1), (30, 0), (48, 1), (48, 0)]
            assert driver_of(dom0, hub) == "hub"
            assert set(disk.drivers().values()) | set(keyboard.drivers().values()) == {"usbback"}
            if away is None:
                break
            dom0.run(away.format(hub=hub))
            vusb.wait_no_device(1)
            vusb.wait_no_device(2)
            dom0.run(back.format(hub=hub))
