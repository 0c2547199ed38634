# SPDX-License-Identifier: GPL-2.0
"""dom0 goes to sleep and wakes while a guest reads two sticks.

The kernel's own test of suspending (pm_test) freezes dom0's processes, suspends
every device of the emulated host, host controllers included, and wakes all of it.
"""

import hashlib
import os
from contextlib import ExitStack

import pytest

from lab import kernel_log
from lab.emulated import Disk

CONTROLLERS = ["ehci", "xhci"]
MIB = 4
TIMES = 2
SLEEP = "echo devices >/sys/power/pm_test; echo freeze >/sys/power/state; echo none >/sys/power/pm_test"
AWAKE = "PM: suspend exit"


@pytest.mark.spoils("the guests' logs")
def test_reads_go_on(lab, guest, vusb, usbback, tmp_path):
    """Every byte that the guest reads is right, and the devices stay what they were."""
    dom0 = lab.dom0
    data = os.urandom(MIB << 20)
    right = hashlib.md5(data).hexdigest()
    with ExitStack() as stack:
        reads = {}
        for port, controller in enumerate(CONTROLLERS, 1):
            disk = stack.enter_context(Disk(dom0, lab.monitor, controller, tmp_path / controller, mib=MIB))
            disk.file.write_bytes(data)
            usbback.add(vusb.rule(disk.busname, port))
            disk.plug()
            reads[port] = f"dd if=/dev/{vusb.wait_disk(port)} iflag=direct bs=64k 2>/dev/null | md5sum"
        before = [vusb.usbfs(port) for port in reads]
        readers = [guest.job(f"until [ -e /tmp/enough ]; do {read}; done") for read in reads.values()]
        dom0.run("echo 1 >/sys/module/suspend/parameters/pm_test_delay; dmesg -C")
        # What earlier tests have provoked is not this one's doing.
        guest.run("dmesg -c >/dev/null")
        for _ in range(TIMES):
            lab.sleep(SLEEP, AWAKE)
        assert int(dom0.run("dmesg | grep -c 'suspend debug: Waiting'")) == TIMES
        guest.run("touch /tmp/enough")
        for reader in readers:
            assert {line.split()[0] for line in reader.wait(300).output.splitlines()} == {right}
        assert [vusb.usbfs(port) for port in reads] == before
        for read in reads.values():
            assert guest.run(read, 300).split()[0] == right
        assert kernel_log.scan("guest", guest.run("dmesg")) == []
