# SPDX-License-Identifier: GPL-2.0
"""The backend's domain dies in mid-traffic: every URB of the guest comes back, nothing hangs, and the next backend is served."""

import time
from random import Random

import pytest

from lab.driver_domain import DriverDomain
from lab.gadget import SourceSink, Stick
from lab.kernel import KERNEL
from lab.memory import NoGrowth
from lab.urb_trace import UrbTrace
from lab.vusb import CLOSED, Vusb

MIB = 8
IMAGE = "/var/tmp/server"
# After the death, which is taken to be when the command for it begins.
BACK_WITHIN_S = 10
# Moments of which one can say that URBs are out at most of them.
ENOUGH = 10
HANG = "/proc/sys/kernel/hung_task_timeout_secs"
# Since the devices were plugged in: they are configured within the first seconds, and used then.
LATEST_S = 8
# A disk has one URB at a time, these have sixteen, of bulk and control, or take theirs back.
QUEUES = " && ".join(f"testusb -a -t {case} -c 4 -s 4096 -v 512 -g 16" for case in (27, 28, 10, 11))
TRAFFIC = f"""
until [ -e /tmp/over ]; do dd if=/dev/sda of=/dev/null bs=120k iflag=direct || sleep 0.1; done &
until [ -e /tmp/over ]; do {QUEUES} || sleep 0.1; done &
wait
"""


class Servers:
    """One driver domain after the other, all of them made of one that was saved when it was ready."""

    def __init__(self, dom0, guest):
        self.dom0 = dom0
        self.guest = guest
        self.domain = DriverDomain(dom0, 2)
        self.domain.destroy()
        self.domain.start(memory=KERNEL.small_guest)
        self.domain.prepare(controllers=2)
        stick = Stick(self.domain, 0, mib=MIB)
        self.data = stick.fill()
        for port, gadget in enumerate((stick, SourceSink(self.domain, 1)), 1):
            self.domain.add(f"{gadget.busname}:{guest.domid}:0:{port}")
        self._shrink()
        self.domain.save(IMAGE)

    def _shrink(self) -> None:
        """Booting takes memory that is free now: without it saving and restoring take less."""
        wanted = KERNEL.small_guest * 5 // 8
        self.dom0.run(f"xl mem-set {self.domain.name} {wanted}")
        self.dom0.wait(f"[ $(xl list {self.domain.name} | awk 'END {{print $3}}') = {wanted} ]", 30, "it keeps its memory")

    def next(self) -> Vusb:
        """Has the guest served by a new one, whose devices are not plugged in yet."""
        self.domain.restore(IMAGE)
        self.domain.resume()
        vusb = self.domain.vusb(self.guest)
        vusb.create()
        vusb.wait_connected()
        return vusb

    def plug(self) -> None:
        self.domain.run("gadget plug 0; gadget plug 1")

    def die(self, how: str, moment: float) -> None:
        if how == "crash":
            self.domain.job(f"sleep {moment}; echo c >/proc/sysrq-trigger")
        else:
            self.dom0.run(f"sleep {moment}; xl destroy {self.domain.name}")
        self.domain.wait_gone()


@pytest.fixture
def servers(dom0, guest):
    guest.run(f"modprobe -a xen-hcd usbtest; echo {BACK_WITHIN_S} >{HANG}")
    servers = Servers(dom0, guest)
    yield servers
    servers.domain.destroy()
    dom0.run(f"rm -f {IMAGE}")
    guest.run(f"echo 120 >{HANG}")


def survive(guest, servers, how, moment):
    """Lets one backend die; returns the account of URBs, seen from its death."""
    with UrbTrace(guest) as trace:
        vusb = servers.next()
        traffic = guest.job(TRAFFIC)
        servers.plug()
        death = trace.now() + moment
        servers.die(how, moment)
        guest.run("touch /tmp/over")
        end = time.monotonic() + BACK_WITHIN_S
        while (account := trace.account(death)).out and time.monotonic() < end:
            pass
        lost = trace.lost()
    print(f"{how} {moment:.3f} s after the plug: {account}, {lost} lost", flush=True)
    assert (lost, account.strays) == (0, 0)
    assert account.out == ()
    assert account.last < BACK_WITHIN_S
    traffic.wait()
    guest.wait("! grep -l '^State:.D' /proc/[0-9]*/status", 10, "a task hangs")
    assert guest.run("rm /tmp/over; cat /sys/bus/xen/devices/vusb-0/statistics") == "not connected\n"
    assert servers.dom0.xenstore(f"{vusb.frontend}/state") == CLOSED
    vusb.remove()
    return account


@pytest.mark.stock_kernel("URBs are counted by function probes, which the debug kernel has not")
@pytest.mark.stock_cannot("death of the backend's domain", "it does nothing when the backend's state is gone, and no URB comes back")
@pytest.mark.expect_log("Kernel panic - not syncing: sysrq triggered crash")
def test_at_random_moments(guest, servers, counts, seed, record_property):
    random = Random(seed)

    def once():
        return survive(guest, servers, random.choice(("destroy", "crash")), round(random.uniform(0, LATEST_S), 3))

    accounts = [once()]  # what is allocated once is allocated now
    with NoGrowth(guest, counts.deaths):
        accounts += [once() for _ in range(counts.deaths - 1)]
    vusb = servers.next()
    servers.plug()
    assert guest.run(f"md5sum </dev/{vusb.wait_disk(1)}", 120) == servers.data
    vusb.remove()
    assert sum(account.urbs for account in accounts) > 20 * len(accounts), "there was hardly any traffic"
    # The root hub has one out all the time. Few moments may all be between two transfers.
    if len(accounts) >= ENOUGH:
        assert sum(account.then for account in accounts) > 2 * len(accounts), "hardly a URB was out"
    record_property("deaths", len(accounts))
    record_property("URBs out then", f"{min(a.then for a in accounts)} to {max(a.then for a in accounts)}")
    record_property("last one back, s", round(max(account.last for account in accounts), 1))
