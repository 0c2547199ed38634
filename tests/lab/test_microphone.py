# SPDX-License-Identifier: GPL-2.0
"""A simulated microphone that counts: every sample arrives, once and in order."""

import pytest

from lab import audio
from lab.simulated import BUS, SCALE, Microphone

modes = pytest.mark.parametrize("speed,rate", [("full", 48_000), ("high", 44_100)])


def check(domain, device, microphone, rate, count):
    samples = audio.record(domain, audio.card(domain, device), rate, count, SCALE)
    assert len(samples) == count
    gaps = [(at, samples[at - 1], samples[at]) for at in range(1, count) if samples[at] != samples[at - 1] + 1]
    moved = microphone.counters(microphone.AUDIO)
    assert gaps == [], moved
    assert moved["missed"] == moved["late"] == 0, moved


@pytest.mark.stock_kernel("it measures")
@modes
def test_dom0(dom0, counts, speed, rate):
    with Microphone(dom0, speed=speed, rate=rate, **BUS) as microphone:
        microphone.plug().wait_present()
        check(dom0, microphone.sysfs, microphone, rate, counts.samples)


@pytest.mark.covers("microphone (UAC)", "isochronous control")
@modes
def test_guest(guest, vusb, usbback, counts, speed, rate):
    with Microphone(usbback.dom0, speed=speed, rate=rate, **BUS) as microphone:
        usbback.add(vusb.rule(microphone.busname, 1))
        guest.run("modprobe snd-usb-audio")
        microphone.plug()
        check(guest, vusb.wait_device(1), microphone, rate, counts.samples)
