# SPDX-License-Identifier: GPL-2.0
"""Keyboard and tablet of QEMU: every event arrives in the guest's evdev, once."""

import struct

import pytest

from lab.emulated import Keyboard, Tablet

EVENT = struct.Struct("llHHi")
EV_KEY, EV_ABS = 1, 3
# Linux key codes of QEMU's key names.
CODES = {"a": 30, "b": 48, "c": 46, "d": 32, "e": 18, "f": 33, "1": 2, "2": 3, "spc": 57, "ret": 28}
# QEMU's device forgets what comes while its queue of 16 is full.
BURST = 4


def events(guest, kind):
    """What the recorder has written so far, of one kind, as (code, value)."""
    raw = guest.read("/tmp/events")
    whole = raw[: len(raw) // EVENT.size * EVENT.size]
    return [(code, value) for _, _, type_, code, value in EVENT.iter_unpack(whole) if type_ == kind]


@pytest.fixture
def recorder(guest):
    """Starts recording the only input device of the guest."""
    jobs = []

    def start(device):
        node = guest.wait(f"ls -d {device}/*/*/input/input*/event*", 60, "no input device in the guest").rpartition("/")[2]
        jobs.append(guest.job(f"cat /dev/input/{node} >/tmp/events"))
        guest.wait("[ -e /tmp/events ]")

    yield start
    for job in jobs:
        job.kill()


@pytest.mark.covers("keyboard (HID)", "interrupt control")
@pytest.mark.parametrize("controller", ["uhci", "ehci", "xhci"])
def test_keyboard(lab, guest, vusb, usbback, recorder, counts, controller):
    names = list(CODES)
    keys = [names[i % len(names)] for i in range(counts.keys)]
    expected = [(CODES[key], value) for key in keys for value in (1, 0)]
    with Keyboard(lab.dom0, lab.monitor, controller) as keyboard:
        usbback.add(vusb.rule(keyboard.busname, 1))
        keyboard.plug()
        recorder(vusb.wait_device(1))
        assert lab.dom0.run("ls /dev/input 2>/dev/null | grep -c event || true").strip() == "0"
        for start in range(0, len(keys), BURST):
            keyboard.press(*keys[start : start + BURST])
            want = min(start + BURST, len(keys)) * 2
            # Each key is a scan code, the key itself and a report, pressed and released.
            guest.wait(f"[ $(stat -c %s /tmp/events) -ge {want * 3 * EVENT.size} ]", 30, f"fewer than {want} key events")
        assert events(guest, EV_KEY) == expected


@pytest.mark.covers("tablet (HID)", "interrupt control")
def test_tablet(lab, guest, vusb, usbback, recorder, counts):
    points = [(1000 + 50 * i, 30000 - 50 * i) for i in range(counts.keys)]
    with Tablet(lab.dom0, lab.monitor, "xhci") as tablet:
        usbback.add(vusb.rule(tablet.busname, 1))
        tablet.plug()
        recorder(vusb.wait_device(1))
        for number, (x, y) in enumerate(points, 1):
            tablet.move(x, y)
            # Two axes and a report for each point.
            guest.wait(f"[ $(stat -c %s /tmp/events) -ge {number * 3 * EVENT.size} ]", 30, f"point {number} is lost")
        got = events(guest, EV_ABS)
    assert got == [(axis, value) for point in points for axis, value in enumerate(point)]
