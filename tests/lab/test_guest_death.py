# SPDX-License-Identifier: GPL-2.0
"""A guest that dies in mid-transfer leaves nothing behind in dom0."""

import pytest

from lab import frontend as frontends
from lab.conftest import both_frontends
from lab.gadget import Stick
from lab.memory import NoGrowth
from lab.test_unplug import busy


def serve(guest, usbback, stick, frontend="ours"):
    """Gives a stick to the guest, which reads it without end."""
    vusb = usbback.vusb(guest)
    frontends.connect(vusb, frontend)
    usbback.add(vusb.rule(stick.busname, 1))
    stick.plug()
    busy(guest, vusb.wait_disk(1))
    return vusb


def assert_clean(dom0, usbback, stick, domid):
    """No ring mapped (that would keep a nameless domain), nothing claimed, no rule, no host driver; then the port is released."""
    dom0.wait(f"! xl list -v | awk '$2 == {domid}' | grep .", 30, "something still holds memory of the dead domain")
    dom0.wait(f"! ls -d /sys/bus/xen-backend/devices/vusb-{domid}-* 2>/dev/null", 30, "the backend's device is still there")
    assert usbback.grabbed() == []
    assert usbback.rules() == [], "domain ids are reused: a rule goes with its domain"
    assert "usb-storage" not in stick.drivers().values(), "what a guest had is not the host's without an administrator"
    rule = f"{stick.busname}:{domid}:0:1"
    assert usbback.reserved() == [rule]
    usbback.remove(rule)
    assert usbback.reserved() == []
    stick.unplug()
    stick.wait_absent()


def test_destroy(lab, guest, usbback, counts):
    dom0 = lab.dom0

    def once():
        if not guest.alive:
            guest.start()
        with Stick(dom0, mib=4) as stick:
            domid = serve(guest, usbback, stick).domid
            guest.destroy()
            assert_clean(dom0, usbback, stick, domid)

    once()
    with NoGrowth(dom0, counts.destroys):
        for _ in range(counts.destroys):
            once()


@pytest.mark.expect_log("Kernel panic - not syncing: sysrq triggered crash")
@both_frontends
def test_crash(guest, usbback, frontend):
    dom0 = usbback.dom0
    with Stick(dom0, mib=4) as stick:
        domid = serve(guest, usbback, stick, frontend).domid
        guest.job("echo c >/proc/sysrq-trigger")
        guest.wait_gone()
        assert_clean(dom0, usbback, stick, domid)
