# SPDX-License-Identifier: GPL-2.0
"""A simulated UVC camera: every picture arrives, whole and in order."""

import pytest

from lab import video
from lab.simulated import BUS, SCALE, Camera

# Speed, pixel format as V4L2 names it, pictures in a second of bus time.
MODES = [("full", "MJPG", 25), ("high", "YUYV", 20), ("full", "YUYV", 10), ("high", "MJPG", 10)]


def check(domain, device, camera, pixels, rate, count):
    node = video.node(domain, device)
    found = video.numbers(video.capture(domain, node, pixels, rate, count, SCALE))
    moved = camera.counters(camera.VIDEO)
    assert len(found) == count
    assert video.gaps(found) == [], moved
    assert moved["missed"] == moved["late"] == 0, moved
    # A driver that keeps one transfer at a time would lose packets on a real bus.
    assert moved["deepest"] > 1


@pytest.mark.stock_kernel("it measures")
@pytest.mark.parametrize("speed,pixels,rate", MODES[:2])
def test_dom0(dom0, counts, speed, pixels, rate):
    with Camera(dom0, speed=speed, **BUS) as camera:
        camera.plug().wait_present()
        check(dom0, camera.sysfs, camera, pixels, rate, counts.pictures)


@pytest.mark.covers("camera (UVC)", "isochronous control")
@pytest.mark.parametrize("speed,pixels,rate", MODES)
def test_guest(guest, vusb, usbback, counts, speed, pixels, rate):
    with Camera(usbback.dom0, speed=speed, **BUS) as camera:
        usbback.add(vusb.rule(camera.busname, 1))
        guest.run("modprobe uvcvideo")
        camera.plug()
        check(guest, vusb.wait_device(1), camera, pixels, rate, counts.pictures)
