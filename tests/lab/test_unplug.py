# SPDX-License-Identifier: GPL-2.0
"""A device given by a sysfs rule is pulled out in mid-transfer and comes back."""

import time

from lab.channel import PATIENCE
from lab.conftest import both_frontends
from lab.emulated import Disk, Keyboard
from lab.gadget import Stick
from lab.memory import NoGrowth

# Far below any driver's own timeout (30 s for a SCSI command).
AT_ONCE = 3 * PATIENCE


def busy(guest, disk):
    """Reads the disk without end and without the page cache, until it fails."""
    job = guest.job(f"while dd if=/dev/{disk} of=/dev/null bs=120k iflag=direct 2>/dev/null; do echo . >>/tmp/progress; done")
    guest.run("rm -f /tmp/progress")
    guest.wait("[ -s /tmp/progress ]", 60, "the read does not get on")
    return job


def pull(stick, guest, vusb, usbback):
    job = busy(guest, vusb.wait_disk(1))
    start = time.monotonic()
    stick.unplug()
    job.wait()
    assert time.monotonic() - start < AT_ONCE, "I/O must end with an error at once"
    vusb.wait_no_device(1)
    vusb.wait_port_status(1, "0")
    assert usbback.grabbed() == []


@both_frontends
def test_replug(guest, vusb, usbback, counts):
    dom0 = usbback.dom0
    with Stick(dom0, mib=4) as stick:
        rule = vusb.rule(stick.busname, 1)
        usbback.add(rule)
        stick.plug()
        pull(stick, guest, vusb, usbback)  # what is allocated once is allocated now
        with NoGrowth(dom0, counts.replugs), NoGrowth(guest, counts.replugs):
            for _ in range(counts.replugs):
                stick.plug()
                pull(stick, guest, vusb, usbback)
        assert usbback.rules() == [rule]
        stick.plug()
        guest.run(f"dd if=/dev/{vusb.wait_disk(1)} of=/dev/null bs=1M", 120)


def test_a_rule_written_while_the_device_is_in_use_is_refused(guest, vusb, usbback):
    dom0 = usbback.dom0
    with Stick(dom0, mib=4) as stick:
        stick.plug()
        dom0.wait(f"[ -e {stick.sysfs}/{stick.busname}:1.0/driver ]", 30, "usb-storage does not bind")
        dom0.run("dmesg -C")
        assert usbback.write("new_vport", vusb.rule(stick.busname, 1)) == ["EBUSY"]
        assert usbback.rules() == []
        assert f"{stick.busname}:1.0" in dom0.run("dmesg | grep usb-storage")


def test_a_device_is_authorized_later(guest, vusb, usbback):
    """It goes to its guest then; until then it stays with nobody."""
    dom0 = usbback.dom0
    with Stick(dom0, mib=4) as stick:
        default = f"/sys/bus/usb/devices/usb{stick.busname.split('-')[0]}/authorized_default"
        usbback.add(vusb.rule(stick.busname, 1))
        dom0.run(f"dmesg -C; echo 0 >{default}")
        stick.plug()
        dom0.wait("dmesg | grep 'not for a guest: it is not authorized'", 30, "nothing is said")
        assert usbback.grabbed() == []
        dom0.run(f"echo 1 >{default}; echo 1 >{stick.sysfs}/authorized")
        vusb.wait_disk(1)
        usbback.clear()


def test_what_is_plugged_into_a_released_port_is_the_hosts(guest, vusb, usbback):
    dom0 = usbback.dom0
    with Stick(dom0, mib=4) as stick:
        rule = vusb.rule(stick.busname, 1)
        usbback.add(rule)
        stick.plug()
        vusb.wait_disk(1)
        usbback.remove(rule)
        stick.unplug()
        stick.wait_absent()
        stick.plug().wait_present()
        dom0.wait(f"ls -d {stick.sysfs}/*/host*", 30, "usb-storage does not bind")


def test_a_device_is_reset_before_it_is_the_hosts_again(guest, vusb, usbback):
    """Also one whose guest has left it without a configuration, which would hide it from the host."""
    dom0 = usbback.dom0
    with Stick(dom0, mib=4) as stick:
        rule = vusb.rule(stick.busname, 1)
        usbback.add(rule)
        stick.plug()
        vusb.wait_disk(1)
        guest.run(f"echo -1 >{vusb.device(1)}/bConfigurationValue")
        dom0.wait(f"! grep . {stick.sysfs}/bConfigurationValue", 30, "the guest's choice does not arrive")
        dom0.run("dmesg -C")
        usbback.remove(rule)
        dom0.wait(f"ls -d {stick.sysfs}/*/host*", 30, "usb-storage does not bind")
        assert f"usb {stick.busname}: reset high-speed USB device" in dom0.run("dmesg")


def test_the_other_half_of_the_connector_is_reserved_too(lab, guest, vusb, usbback, tmp_path):
    """A guest's device that comes back at SuperSpeed is on another port of the same connector."""
    dom0 = lab.dom0
    with Keyboard(dom0, lab.monitor, "xhci3") as keyboard:
        rule = vusb.rule(keyboard.busname, 1)
        usbback.add(rule)
        keyboard.plug()
        vusb.wait_device(1)
        keyboard.unplug()
        vusb.wait_no_device(1)
    with Disk(dom0, lab.monitor, "xhci3", tmp_path / "disk", mib=4) as disk:
        assert disk.busname != keyboard.busname
        disk.plug().wait_present()
        dom0.run("udevadm settle")
        assert dom0.run(f"cat {disk.sysfs}/speed") == "5000\n"
        assert dom0.run(f"cat {disk.sysfs}/bConfigurationValue").strip() == "", "a driver of the host could have it"
        usbback.remove(rule)
        disk.unplug()
        disk.wait_absent()
        disk.plug().wait_present()
        dom0.wait(f"ls -d {disk.sysfs}/*:1.0/driver", 30, "what is plugged into a released connector is the host's")
