# SPDX-License-Identifier: GPL-2.0
"""The simulated devices in dom0 alone, without us: what a test through a guest may rely on."""

import pytest

from lab import usbtest
from lab.evdev import EV_KEY, PER_KEY, Recorder
from lab.simulated import SimulatedKeyboard, Zero

# Isochronous endpoints: one packet in a frame, and three transactions in every microframe.
ENDPOINTS = [{"speed": "full"}, {"speed": "high"}, {"speed": "high", "interval": 1, "mult": 3}]


@pytest.fixture
def usbtest_alt1(dom0):
    """The kernel's usbtest driver, told to take the alternate setting with isochronous endpoints."""
    # dom0 may have loaded it by itself, for a device of another test.
    dom0.run("modprobe -rq usbtest; modprobe usbtest alt=1")
    yield
    dom0.run("rmmod usbtest")


@pytest.mark.parametrize("options", ENDPOINTS, ids=lambda options: "-".join(map(str, options.values())))
def test_usbtest_isochronous(dom0, usbtest_alt1, counts, options):
    with Zero(dom0, **options) as zero:
        zero.plug().wait_present()
        assert usbtest.failures(usbtest.run_cases(dom0, zero.usbfs, usbtest.ISO_CASES, counts.usbtest, usbtest.ISO_SIZE)) == {}
        packets = {endpoint: zero.counters(endpoint) for endpoint in (zero.ISO_IN, zero.ISO_OUT)}
        assert all(count["packets"] > 0 and count["late"] == 0 for count in packets.values()), packets
        assert zero.sink()["wrong"] == 0


@pytest.mark.parametrize("speed", ["full", "high"])
def test_usbtest(dom0, usbtest_alt1, speed):
    with Zero(dom0, speed=speed) as zero:
        zero.plug().wait_present()
        assert usbtest.failures(usbtest.run_cases(dom0, zero.usbfs, usbtest.CASES, 8)) == {}
        assert zero.sink()["wrong"] == 0


def test_replug(dom0):
    for port in (1, 2):
        with Zero(dom0, port) as zero:
            for _ in range(3):
                zero.plug().wait_present()
                zero.unplug()
                zero.wait_absent()


def test_keys_pressed_while_suspended_are_kept(dom0):
    """USB/IP cannot wake a host: the keys come when the host resumes the keyboard by itself."""
    with SimulatedKeyboard(dom0) as keyboard:
        keyboard.plug().wait_present()
        recorder = Recorder(dom0, keyboard.sysfs)
        pressed = [(30, 1), (30, 0)]
        keyboard.press(4)
        recorder.wait(len(pressed) * PER_KEY, "a key does not arrive")
        dom0.run(f"cd {keyboard.sysfs}/power && echo 100 >autosuspend_delay_ms && echo auto >control")
        dom0.wait(f"[ $(cat {keyboard.sysfs}/power/runtime_status) = suspended ]", 30, "it does not suspend")
        assert keyboard.tell("wakeup").strip() == "true"
        keyboard.press(5)
        dom0.run(f"sleep 1; [ $(cat {keyboard.sysfs}/power/runtime_status) = suspended ]")
        assert recorder.events(EV_KEY) == pressed
        dom0.run(f"echo on >{keyboard.sysfs}/power/control")
        pressed += [(48, 1), (48, 0)]
        recorder.wait(len(pressed) * PER_KEY, "the key is lost")
        assert recorder.events(EV_KEY) == pressed
        recorder.stop()
