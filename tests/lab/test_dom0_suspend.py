# SPDX-License-Identifier: GPL-2.0
"""dom0 goes to sleep and wakes while a guest reads a stick.

The kernel's own test of suspending (pm_test) freezes dom0's processes, suspends
every device of the emulated host, host controllers included, and wakes all of it.
"""

import hashlib
import os

import pytest

from lab.emulated import Disk

MIB = 4
TIMES = 2
SLEEP = "echo devices >/sys/power/pm_test && echo freeze >/sys/power/state; status=$?; echo none >/sys/power/pm_test; exit $status"


@pytest.mark.parametrize("controller", ["ehci", "xhci"])
def test_a_read_goes_on(lab, guest, vusb, usbback, controller, tmp_path):
    """Every byte that the guest reads is right, and the device stays what it was."""
    dom0 = lab.dom0
    data = os.urandom(MIB << 20)
    with Disk(dom0, lab.monitor, controller, tmp_path / "disk", mib=MIB) as disk:
        disk.file.write_bytes(data)
        usbback.add(vusb.rule(disk.busname, 1))
        disk.plug()
        name = vusb.wait_disk(1)
        before = vusb.usbfs(1)
        dom0.run("echo 1 >/sys/module/suspend/parameters/pm_test_delay; dmesg -C")
        read = f"dd if=/dev/{name} iflag=direct bs=64k 2>/dev/null | md5sum"
        reader = guest.job(f"until [ -e /tmp/enough ]; do {read}; done; rm /tmp/enough")
        for _ in range(TIMES):
            dom0.run(SLEEP, 120)
        slept = int(dom0.run("dmesg | grep -c 'suspend debug: Waiting'"))
        guest.run("touch /tmp/enough")
        sums = {line.split()[0] for line in reader.wait(300).output.splitlines()}
        assert slept == TIMES
        assert sums == {hashlib.md5(data).hexdigest()}
        assert vusb.usbfs(1) == before
        assert guest.run(read, 300).split()[0] in sums
