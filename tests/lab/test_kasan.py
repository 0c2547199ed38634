# SPDX-License-Identifier: GPL-2.0
"""A hostile guest against our backend in a domain whose kernel watches every access to memory.

Other files of tests run in guests with KASAN, too; see parts.py.
"""

import subprocess

import pytest

from lab.gadget import SourceSink, Stick
from lab.kernel import KERNEL
from lab.rogue_frontend import RogueFrontend, held
from lab.test_rogue_frontend import FOR_EVER, plan

CRASH = "/sys/kernel/debug/provoke-crash/DIRECT"


@pytest.mark.each_row
@pytest.mark.parametrize("name", ["usbbk.ko", "xen-hcd.ko", "pvusb_kunit.ko"])
def test_modules_are_watched(name):
    """What the compilers check before each access, they have put into our modules, too."""
    module = KERNEL.guest_modules / name
    symbols = subprocess.run(["nm", "--undefined-only", module], capture_output=True, text=True, check=True).stdout
    assert "__asan_report_load" in symbols
    assert "__asan_report_store" in symbols


@pytest.mark.expect_log("BUG: KASAN: slab-use-after-free in lkdtm_READ_AFTER_FREE")
def test_faults_are_seen(lab):
    """What it says to a read of memory that was freed; it says so once in its life."""
    guest = lab.guest(3)
    guest.start()
    guest.run(f"mount -t debugfs debugfs /sys/kernel/debug; modprobe lkdtm; echo READ_AFTER_FREE >{CRASH}")
    assert "BUG: KASAN: slab-use-after-free" in guest.run("dmesg")
    guest.destroy()


def test_hostile_frontend(guest, server, counts, record_property):
    before = held(server)
    with Stick(server, 0, mib=4) as stick, SourceSink(server, 1) as tester:
        rogue = RogueFrontend(server, guest, stick, tester)
        rogue.make()
        rogue.give()
        rogue.wait_given()
        # One that dies in the middle of it; and a connection can be seen.
        flood, _ = rogue.start("events", FOR_EVER, 1)
        server.wait(f"[ $(grep -c vusb /proc/interrupts) = {before['channels'] + 1} ]", 30, "it does not connect")
        flood.kill()
        for seed in range(1, 1 + counts.hostile_seeds):
            for name, count in plan(counts):
                rogue.attack(name, count, seed)
        # A frontend that is gone at any step, and devices that go from one that uses them.
        rogue.attack("vanish", 5, 1)
        rogue.vusb.remove_forcibly()
    assert held(server) == before
    server.run("rmmod usbbk")
    record_property("requests", counts.hostile_seeds * counts.hostile_requests)
