# SPDX-License-Identifier: GPL-2.0
"""A suspended port: the device sleeps in dom0 too, and what wakes it wakes its guest."""

import pytest

from lab.emulated import Keyboard
from lab.evdev import EV_KEY, PER_KEY, Recorder
from lab.test_input import CODES

# As short as it can be for the recorder, which throws away the first 50 ms after an open.
DELAY = 200
# Longer than a test.
RARELY = 600_000


def wait_power(domain, device, status, why):
    domain.wait(f'[ "$(cat {device}/power/runtime_status)" = {status} ]', 30, why)


def power(domain, device):
    return domain.run(f"cd {device}/power && cat runtime_status control").split()


def keep_awake(keyboard):
    """As usbcore does with what is plugged in; udev has QEMU's keyboard be suspended."""
    keyboard.dom0.run(f"udevadm settle; echo on >{keyboard.sysfs}/power/control")


def suspend(guest, device):
    guest.run(f"cd {device}/power && echo {DELAY} >autosuspend_delay_ms && echo auto >control")


def wait_suspended(vusb, keyboard, device):
    wait_power(vusb.guest, device, "suspended", "the guest does not suspend it")
    wait_power(vusb.dom0, keyboard.sysfs, "suspended", "it is not suspended in dom0")


class Typist:
    """Types into a guest and knows what has to arrive."""

    def __init__(self, keyboard, recorder):
        self.keyboard = keyboard
        self.recorder = recorder
        self.expected = []

    def type(self, *keys):
        self.keyboard.press(*keys)
        self.expected += [(CODES[key], value) for key in keys for value in (1, 0)]
        self.recorder.wait(len(self.expected) * PER_KEY, f"{keys}: a key does not arrive")
        assert self.recorder.events(EV_KEY) == self.expected


@pytest.mark.covers("keyboard (HID)", "remote-wakeup")
@pytest.mark.stock_cannot("remote wakeup", "it knows no message but those of usbif.h, and none of them carries it")
@pytest.mark.parametrize("controller", ["uhci", "ehci", "xhci"])
def test_a_key_wakes_a_suspended_port(lab, guest, vusb, usbback, counts, controller):
    with Keyboard(lab.dom0, lab.monitor, controller) as keyboard:
        usbback.add(vusb.rule(keyboard.busname, 1))
        keyboard.plug()
        device = vusb.wait_device(1)
        recorder = Recorder(guest, device)
        typist = Typist(keyboard, recorder)
        typist.type("a")
        suspend(guest, device)
        names = list(CODES)
        for number in range(counts.wakeups):
            wait_suspended(vusb, keyboard, device)
            # The whole bus of the guest: nothing else is on it.
            wait_power(guest, f"/sys/bus/usb/devices/usb{vusb.bus()}", "suspended", "the root hub stays awake")
            key = names[number % len(names)]
            typist.type(key, key)
        # The guest wakes it by itself, as often as it likes.
        guest.run(f"cd {device}/power && echo 0 >autosuspend_delay_ms; for i in $(seq 20); do echo on >control; echo auto >control; done")
        suspend(guest, device)
        wait_suspended(vusb, keyboard, device)
        guest.run(f"echo on >{device}/power/control")
        wait_power(vusb.dom0, keyboard.sysfs, "active", "it is not awake in dom0")
        typist.type("b")
        recorder.stop()


def test_a_host_that_keeps_the_device_awake(lab, guest, vusb, usbback):
    """Then the guest's port stays awake too: its USB core asks again and again, and keys arrive afterwards as before.

    Not in between. To ask, usbhid takes its URB back, and the core gives one that completes
    meanwhile back as unlinked, whatever it brought (`__usb_hcd_giveback_urb()`).
    """
    with Keyboard(lab.dom0, lab.monitor, "ehci") as keyboard:
        usbback.add(vusb.rule(keyboard.busname, 1))
        keyboard.plug()
        device = vusb.wait_device(1)
        recorder = Recorder(guest, device)
        typist = Typist(keyboard, recorder)
        keep_awake(keyboard)
        suspend(guest, device)
        wait_suspended(vusb, keyboard, device)
        assert power(lab.dom0, keyboard.sysfs) == ["suspended", "auto"]
        # The host wakes it: so the guest is told.
        lab.dom0.run(f"echo on >{keyboard.sysfs}/power/control")
        wait_power(guest, device, "active", "the guest does not hear of it")
        for key in ("a", "b", "c"):
            suspend(guest, device)
            guest.run(f"sleep 1; echo {RARELY} >{device}/power/autosuspend_delay_ms; sleep 1")
            wait_power(guest, device, "active", "the guest takes it for suspended")
            assert power(lab.dom0, keyboard.sysfs) == ["active", "on"]
            typist.type(key)
        recorder.stop()


def test_a_sleeping_device_goes(lab, guest, vusb, usbback):
    """Pulled out, or given back to dom0, where it is as awake as it was."""
    with Keyboard(lab.dom0, lab.monitor, "ehci") as keyboard:
        rule = vusb.rule(keyboard.busname, 1)
        usbback.add(rule)
        for _ in range(2):
            keyboard.plug()
            device = vusb.wait_device(1)
            suspend(guest, device)
            wait_suspended(vusb, keyboard, device)
            keyboard.unplug()
            keyboard.wait_absent()
            vusb.wait_no_device(1)
        keyboard.plug()
        device = vusb.wait_device(1)
        keep_awake(keyboard)
        suspend(guest, device)
        wait_suspended(vusb, keyboard, device)
        # Another frontend can use it.
        driver = guest.run("readlink -f /sys/bus/xen/devices/vusb-0/driver").strip()
        guest.run(f"echo vusb-0 >{driver}/unbind")
        guest.run(f"echo vusb-0 >{driver}/bind")
        vusb.wait_connected()
        device = vusb.wait_device(1)
        recorder = Recorder(guest, device)
        typist = Typist(keyboard, recorder)
        typist.type("a")
        suspend(guest, device)
        wait_suspended(vusb, keyboard, device)
        typist.type("b")
        recorder.stop()
        wait_suspended(vusb, keyboard, device)
        usbback.remove(rule)
        vusb.wait_no_device(1)
        lab.dom0.wait(f"ls {keyboard.sysfs}/{keyboard.busname}:1.0/driver/module | grep -q .", 30, "no driver of dom0 has it")
        assert power(lab.dom0, keyboard.sysfs) == ["active", "on"]


@pytest.mark.parametrize("frontend", ["stock"])
def test_a_stock_frontend_suspends_nothing(lab, guest, vusb, usbback):
    with Keyboard(lab.dom0, lab.monitor, "ehci") as keyboard:
        usbback.add(vusb.rule(keyboard.busname, 1))
        keyboard.plug()
        device = vusb.wait_device(1)
        keep_awake(keyboard)
        suspend(guest, device)
        wait_power(guest, device, "suspended", "the guest does not suspend it")
        assert power(lab.dom0, keyboard.sysfs) == ["active", "on"]
        guest.run(f"echo on >{device}/power/control")
        recorder = Recorder(guest, device)
        Typist(keyboard, recorder).type("a")
        recorder.stop()
