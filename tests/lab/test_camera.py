# SPDX-License-Identifier: GPL-2.0
"""A simulated UVC camera: every picture arrives, whole and in order."""

import pytest

from lab import video
from lab.simulated import Camera

# Pixel format as V4L2 names it, and pictures a second.
modes = pytest.mark.parametrize("pixels,rate", [("MJPG", 25), ("MJPG", 10), ("YUYV", 20), ("YUYV", 10)])
speeds = pytest.mark.parametrize("speed", ["full", "high"])


def check(domain, device, camera, pixels, rate, count):
    found = video.numbers(video.capture(domain, video.node(domain, device), pixels, rate, count))
    assert len(found) == count and video.consecutive(found), found
    moved = camera.counters(camera.VIDEO)
    assert moved["missed"] == moved["late"] == 0, moved
    # A driver that keeps one transfer at a time would lose packets on a real bus.
    assert moved["deepest"] > 1


@modes
@speeds
def test_dom0(dom0, counts, speed, pixels, rate):
    with Camera(dom0, speed=speed) as camera:
        camera.plug().wait_present()
        check(dom0, camera.sysfs, camera, pixels, rate, counts.pictures)


@modes
@speeds
def test_guest(guest, vusb, usbback, counts, speed, pixels, rate):
    with Camera(usbback.dom0, speed=speed) as camera:
        usbback.add(vusb.rule(camera.busname, 1))
        guest.run("modprobe uvcvideo")
        camera.plug()
        check(guest, vusb.wait_device(1), camera, pixels, rate, counts.pictures)
