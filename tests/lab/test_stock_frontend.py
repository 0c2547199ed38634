# SPDX-License-Identifier: GPL-2.0
"""Our backend serves the C frontend of the guest's own kernel, as far as that goes.

What usbtest makes of it is in test_usbtest.py and test_isochronous.py.
"""

import pytest

from lab.evdev import assert_keys_arrive
from lab.gadget import HidKeyboard, Stick

PEER = "the kernel's C frontend"
MIB = 2
# It grants up to 16 pages a transfer, and fails one that touches 17.
MOST_KIB = 60


def wait_disk(guest, vusb):
    disk = vusb.wait_disk(1)
    guest.run(f"echo {MOST_KIB} >/sys/block/{disk}/queue/max_sectors_kb")
    return disk


@pytest.mark.covers("mass storage (BOT)", "control bulk", peer=PEER)
def test_a_stick_is_written_read_and_replugged(guest, stock_vusb, usbback):
    dom0 = usbback.dom0
    with Stick(dom0, mib=MIB) as stick:
        dom0.run(f"dd if=/dev/urandom of={stick.file} bs=1M count={MIB} conv=notrunc 2>/dev/null")
        usbback.add(stock_vusb.rule(stick.busname, 1))
        stick.plug()
        disk = wait_disk(guest, stock_vusb)
        assert guest.run(f"md5sum </dev/{disk}", 120) == dom0.run(f"md5sum <{stick.file}")
        written = guest.run(f"dd if=/dev/urandom bs=1M count={MIB} 2>/dev/null | tee /dev/{disk} | md5sum; sync", 120)
        assert dom0.run(f"md5sum <{stick.file}") == written
        stick.unplug()
        stock_vusb.wait_no_device(1)
        stick.plug()
        assert guest.run(f"md5sum </dev/{wait_disk(guest, stock_vusb)}", 120) == written


@pytest.mark.covers("keyboard (HID)", "control interrupt", peer=PEER)
def test_keys(guest, stock_vusb, usbback, counts):
    with HidKeyboard(usbback.dom0) as keyboard:
        usbback.add(stock_vusb.rule(keyboard.busname, 1))
        keyboard.plug()
        assert_keys_arrive(keyboard, guest, stock_vusb.wait_device(1), counts.keys)
