# SPDX-License-Identifier: GPL-2.0
"""A simulated UVC camera: every picture arrives, whole and in order.

In guests only. In dom0, a PV guest, uvcvideo's buffers for vhci_hcd may be in machine
pages that are apart. usb_alloc_noncoherent() then has swiotlb-xen put a bounce buffer
behind them, for the host's driver is not asked whether it does DMA, and
usb_hcd_unmap_urb_for_dma() copies its zeros over what vhci_hcd has written.
"""

import pytest

from lab import video
from lab.simulated import BUS, SCALE, Camera

# Speed, pixel format as V4L2 names it, pictures in a second of bus time.
MODES = [("full", "MJPG", 25), ("high", "YUYV", 20), ("full", "YUYV", 10), ("high", "MJPG", 10)]


@pytest.mark.covers("camera (UVC)", "isochronous control")
@pytest.mark.parametrize("speed,pixels,rate", MODES)
def test_guest(guest, vusb, usbback, counts, speed, pixels, rate):
    with Camera(usbback.dom0, speed=speed, **BUS) as camera:
        usbback.add(vusb.rule(camera.busname, 1))
        guest.run("modprobe uvcvideo")
        camera.plug()
        node = video.node(guest, vusb.wait_device(1))
        found = video.numbers(video.capture(guest, node, pixels, rate, counts.pictures, SCALE))
        moved = camera.counters(camera.VIDEO)
    assert len(found) == counts.pictures
    assert video.gaps(found) == [], moved
    assert moved["missed"] == moved["late"] == 0, moved
    # A driver that keeps one transfer at a time would lose packets on a real bus.
    assert moved["deepest"] > 1
