# SPDX-License-Identifier: GPL-2.0
"""The lab itself: commands arrive whole, trouble in a kernel log is seen."""

import pytest

from lab import kernel_log, kmemleak, ktap
from lab.channel import CommandTimeout
from lab.gadget import SourceSink, Stick
from lab.usbtest import CASES, failures, run_cases

TROUBLE = [
    "[    1.0] WARNING: drivers/usb/core/urb.c:494 at usb_submit_urb+0x1/0x2, CPU#0: kworker/0:1/10",
    "[    1.0] WARNING: CPU: 0 PID: 1 at mm/slub.c:1 x+0x1/0x2",
    "[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000",
    "[    1.0] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:1",
    "[    1.0] kernel BUG at lib/list_debug.c:1!",
    "[    1.0] Oops: Oops: 0000 [#1] SMP NOPTI",
    "[    1.0] INFO: task kworker/0:1:10 blocked for more than 120 seconds.",
    "[    1.0] WARNING: possible circular locking dependency detected",
    "[    1.0] INFO: possible recursive locking detected",
    "[    1.0] BUG: KASAN: slab-use-after-free in x+0x1/0x2",
    "[    1.0] UBSAN: shift-out-of-bounds in drivers/usb/host/x.c:459:1",
    "[    1.0] refcount_t: underflow; use-after-free.",
    "[    1.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "[    1.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]",
    "[    1.0] rust_kernel: panicked at usbback/lib.rs:1:1:",
    "[    1.0] Kernel panic - not syncing: Fatal exception",
    "[    1.0] list_del corruption, ffff8880 was not ffff8881",
    "[    1.0] kmemleak: Memory pool empty, consider increasing CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE",
    "[    1.0] ODEBUG: free active (active state 0) object: ffff8880 object type: timer_list hint: x+0x0/0x1",
    "[    1.0] turning off the locking correctness validator.",
    "(XEN) [2026-11-24] Panic on CPU 0:",
    "(XEN) Xen BUG at grant_table.c:1",
]
HEALTHY = [
    # Whose, kmemleak.py looks up.
    "[    1.0] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "[    1.0] usb 1-1: new high-speed USB device number 2 using dummy_hcd",
    "[    1.0] Spectre V2 : WARNINGS are words like others",
    "[    1.0] printk: debug: ignoring loglevel setting.",
    "[    1.0] loading out-of-tree module taints kernel.",
    "[    1.0] Error: Driver 'pcspkr' is already registered, aborting...",
    "(XEN) d1v0: upcall vector f3",
]


@pytest.mark.parametrize("line", TROUBLE)
def test_scanner_sees(line):
    text = f"before\n{line}\nafter\n"
    (finding,) = kernel_log.scan("log", text)
    assert finding.lines[:2] == (line, "after")


@pytest.mark.parametrize("line", HEALTHY)
def test_scanner_passes(line):
    assert kernel_log.scan("log", line) == []


def test_scanner_reports_one_oops_once():
    text = "\n".join(["BUG: unable to handle page fault", "Oops: 0002 [#1]", "Call Trace:", "Kernel panic - not syncing"])
    assert len(kernel_log.scan("log", text)) == 1


def test_scanner_lets_an_expected_line_pass():
    line = "Kernel panic - not syncing: sysrq triggered crash"
    assert kernel_log.scan("log", line, ("sysrq triggered crash",)) == []


def test_ktap_is_read():
    log = """
[    5.0]     KTAP version 1
[    5.0]     # Subtest: one
[    5.0]     # module: m
[    5.0]     1..3
[    5.0]     ok 1 good
[    5.0]     # bad: ASSERTION FAILED at x.rs:1
[    5.0]     not ok 2 bad
[    5.0]     ok 3 left_out # SKIP no reason
[    5.0] # one: pass:1 fail:1 skip:1 total:3
[    5.0] not ok 1 one
"""
    verdicts = ktap.parse(log)
    assert verdicts["one", "good"] == "ok"
    assert "ASSERTION FAILED" in verdicts["one", "bad"]
    assert "SKIP" in verdicts["one", "left_out"]
    assert len(verdicts) == 3


def test_leaks_of_usbtest_are_counted():
    lost = [
        f' 0xffff888004816180 (size 192):\n  comm "testusb", pid 3836\n    __kmalloc_noprof+0x2d2/0x510\n    {function}+0x28/0x70 [usbcore]'
        for function in ("usb_alloc_urb", "usb_alloc_coherent")
    ]
    ours = ' 0xffff888004816180 (size 192):\n  comm "kworker/0:1", pid 3\n    usb_alloc_urb+0x28/0x70 [usbcore]'
    assert kmemleak.unexplained(lost, 1) == []
    assert kmemleak.unexplained(lost, 0) == lost
    assert kmemleak.unexplained([*lost, ours], 1) == [ours]


def test_ktap_expects_what_the_sources_hold():
    assert ("pvusb_ring", "an_overlong_response_is_refused") in ktap.expected()
    assert len({suite for suite, _ in ktap.expected()}) >= 10


@pytest.mark.parametrize("where", ["dom0", "guest1"])
def test_planted_warning_is_found(lab, guest, where):
    domain = lab.dom0 if where == "dom0" else guest
    domain.run("echo 'WARNING: planted by the test of the lab' >/dev/kmsg")
    lab.flush_logs()
    (finding,) = lab.trouble()
    assert finding.log == f"{where}.log"
    assert "WARNING: planted" in finding.lines[0]


@pytest.mark.parametrize("where", ["dom0", "guest"])
def test_output_and_status(lab, guest, where):
    domain = lab.dom0 if where == "dom0" else guest
    output, status = domain.try_run("echo out; echo err >&2; printf 'no newline'; exit 7")
    assert (output, status) == ("out\nerr\nno newline", 7)


@pytest.mark.parametrize("where", ["dom0", "guest"])
def test_binary_output_under_a_flood_of_kernel_messages(lab, guest, where):
    domain = lab.dom0 if where == "dom0" else guest
    data = bytes(range(256)) * 400
    flood = domain.job("i=0; while [ $i -lt 200 ]; do echo flood $i >/dev/kmsg; i=$((i + 1)); done")
    domain.put("/tmp/data", data)
    assert domain.read("/tmp/data") == data
    assert flood.wait().status == 0


def test_command_that_does_not_end(dom0):
    with pytest.raises(CommandTimeout, match="begun"):
        dom0.run("echo begun; sleep 10000", 2)
    assert dom0.run("echo alive") == "alive\n"


def test_gadget_is_plugged_and_pulled(dom0):
    with Stick(dom0, mib=8) as stick:
        stick.plug().wait_present()
        dom0.wait(f"ls -d {stick.sysfs}/*/host*", 30, "usb-storage does not bind")
        assert stick.drivers() == {f"{stick.busname}:1.0": "usb-storage"}
        stick.unplug()
        stick.wait_absent()


def test_usbtest_in_dom0(dom0, counts):
    """What the bench itself can do; the guest's result means something beside it."""
    with SourceSink(dom0) as gadget:
        gadget.plug().wait_present()
        bus, number = dom0.run(f"cat {gadget.sysfs}/busnum {gadget.sysfs}/devnum").split()
        results = run_cases(dom0, f"/dev/bus/usb/{int(bus):03}/{int(number):03}", CASES, counts.usbtest)
        dom0.run("rmmod usbtest")
    assert failures(results) == {}
