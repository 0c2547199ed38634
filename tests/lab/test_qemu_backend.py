# SPDX-License-Identifier: GPL-2.0
"""Our frontend is served by QEMU's backend, as far as that goes, and outlives it.

QEMU (11.1) answers isochronous transfers with an error, and does not keep `port-N`.
"""

import time

import pytest

from lab.evdev import assert_keys_arrive
from lab.gadget import HidKeyboard, SourceSink, Stick
from lab.qemu_backend import QemuBackend
from lab.usbtest import CASES, failures, run_cases
from lab.vusb import CLOSED

PEER = "QEMU's backend"
MIB = 2
# In seconds, of an idle machine; far below the minute that a backend has for the answer to an unlink.
AT_ONCE = 5


@pytest.fixture
def qemu(guest, dom0):
    guest.run("modprobe xen-hcd")
    with QemuBackend(dom0, guest) as qemu:
        yield qemu


@pytest.mark.covers("usbtest", "control bulk", peer=PEER)
def test_usbtest(guest, qemu, counts):
    """Every case, though QEMU dies of a request that is queued behind one that fails: it gets one of an endpoint at a time."""
    with SourceSink(qemu.dom0) as gadget:
        gadget.plug()
        qemu.give(gadget)
        guest.run("modprobe usbtest")
        qemu.wait_device(1)
        assert failures(run_cases(guest, qemu.usbfs(1), CASES, counts.usbtest)) == {}


@pytest.mark.covers("mass storage (BOT)", "control bulk", peer=PEER)
def test_a_stick_is_written_read_and_unplugged(guest, qemu):
    dom0 = qemu.dom0
    with Stick(dom0, mib=MIB) as stick:
        digest = stick.fill()
        stick.plug()
        qemu.give(stick)
        disk = qemu.wait_disk(1)
        assert guest.run(f"md5sum </dev/{disk}", 120) == digest
        guest.run(f"dd if=/dev/urandom of=/dev/{disk} bs=1M count={MIB} oflag=direct 2>/dev/null", 120)
        assert stick.digest() == guest.run(f"echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/{disk}", 120)

        stick.unplug()
        qemu.wait_no_device(1)
        # QEMU dies of a device that comes back by itself.
        qemu.take()
        stick.plug()
        qemu.give(stick, 2)
        disk = qemu.wait_disk(2)
        assert stick.digest() == guest.run(f"md5sum </dev/{disk}", 120)
        qemu.take(2)
        qemu.wait_no_device(2)


@pytest.mark.covers("keyboard (HID)", "control interrupt", peer=PEER)
def test_keys(guest, qemu, counts):
    with HidKeyboard(qemu.dom0) as keyboard:
        keyboard.plug()
        qemu.give(keyboard)
        assert_keys_arrive(keyboard, guest, qemu.wait_device(1), counts.keys)


def test_death(guest, dom0):
    """It dies as in a crash, without a word: nobody in the guest waits for its answers, and the next one is served."""
    guest.run("modprobe xen-hcd")
    with QemuBackend(dom0, guest) as qemu, SourceSink(dom0) as gadget:
        gadget.plug()
        qemu.give(gadget)
        guest.run("modprobe usbtest; dmesg -c >/dev/null")
        qemu.wait_device(1)
        job = guest.job(f"exec testusb -D {qemu.usbfs(1)} -t 11 -c {1 << 30} -s 1024")
        guest.wait("dmesg | grep 'TEST 11'", 30, "the transfers do not begin")
        assert job.running()
        start = time.monotonic()
        qemu.die()
        job.wait(AT_ONCE)
        print(f"given back after {time.monotonic() - start:.1f} s")
        guest.wait(f"! ls -d /sys/bus/xen/devices/vusb-{qemu.number}/usb*", 30, "the controller is not given up")
        guest.run("dmesg | grep 'backend is broken: it has gone without a word'")
        dom0.wait(f'[ "$(xenstore-read {qemu.frontend}/state)" = {CLOSED} ]', 30, "the frontend does not close")
    with QemuBackend(dom0, guest) as qemu, SourceSink(dom0) as gadget:
        gadget.plug()
        qemu.give(gadget)
        qemu.wait_device(1)
        assert failures(run_cases(guest, qemu.usbfs(1), (1, 2, 9), 4)) == {}
