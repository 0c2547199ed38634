# SPDX-License-Identifier: GPL-2.0
"""Keyboard and tablet of QEMU: every event arrives in the guest's evdev, once."""

import pytest

from lab.conftest import both_frontends
from lab.emulated import Keyboard, Tablet
from lab.evdev import EV_ABS, EV_KEY, PER_KEY, Recorder

# Linux key codes of QEMU's key names.
CODES = {"a": 30, "b": 48, "c": 46, "d": 32, "e": 18, "f": 33, "1": 2, "2": 3, "spc": 57, "ret": 28}
# QEMU's device forgets what comes while its queue of 16 is full.
BURST = 4


@pytest.mark.covers("keyboard (HID)", "interrupt control")
@pytest.mark.parametrize(
    "controller,frontend", [("uhci", "ours"), ("ehci", "ours"), ("xhci", "ours"), ("xhci", "stock")], scope="module"
)
def test_keyboard(lab, guest, vusb, usbback, counts, controller):
    names = list(CODES)
    keys = [names[i % len(names)] for i in range(counts.keys)]
    expected = [(CODES[key], value) for key in keys for value in (1, 0)]
    with Keyboard(lab.dom0, lab.monitor, controller) as keyboard:
        usbback.add(vusb.rule(keyboard.busname, 1))
        keyboard.plug()
        recorder = Recorder(guest, vusb.wait_device(1))
        assert lab.dom0.run("ls /dev/input 2>/dev/null | grep -c event || true").strip() == "0"
        for start in range(0, len(keys), BURST):
            keyboard.press(*keys[start : start + BURST])
            want = min(start + BURST, len(keys)) * 2
            recorder.wait(want * PER_KEY, f"fewer than {want} key events")
        assert recorder.events(EV_KEY) == expected
        recorder.stop()


@pytest.mark.covers("tablet (HID)", "interrupt control")
@both_frontends
def test_tablet(lab, guest, vusb, usbback, counts):
    points = [(1000 + 50 * i, 30000 - 50 * i) for i in range(counts.keys)]
    with Tablet(lab.dom0, lab.monitor, "xhci") as tablet:
        usbback.add(vusb.rule(tablet.busname, 1))
        tablet.plug()
        recorder = Recorder(guest, vusb.wait_device(1))
        for number, (x, y) in enumerate(points, 1):
            tablet.move(x, y)
            # Two axes and a report for each point.
            recorder.wait(number * 3, f"point {number} is lost")
        got = recorder.events(EV_ABS)
        recorder.stop()
    assert got == [(axis, value) for point in points for axis, value in enumerate(point)]
