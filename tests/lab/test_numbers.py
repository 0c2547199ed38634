# SPDX-License-Identifier: GPL-2.0
"""As much as there can be: every port of a controller, several controllers in each of several guests.

Each device counts in dom0 what its own endpoint has taken, so that a transfer
which goes to another device shows.
"""

from contextlib import ExitStack

import pytest

from lab.kernel import KERNEL
from lab.machine import GUESTS
from lab.simulated import Zero

PORTS = 31
SINK = 0x01
SIZE = 4096

# Each burst is a process of testusb; a share is counted over this time.
BURST = 8
SHARED_S = 20
# All guests have been told by then.
STARTS_WITHIN_S = 15


def write(node: str, count: int) -> str:
    """usbtest's case 1: `count` writes of zeroes."""
    return f"testusb -D {node} -t 1 -c {count} -s {SIZE} >/dev/null"


def taken(zero: Zero) -> int:
    return zero.counters(SINK).get("bytes", 0)


def test_every_port_of_a_controller(guest, usbback, counts):
    """Devices on all ports, or a part of them, work at the same time, each for itself."""
    ports = range(1, PORTS + 1, counts.port_step)
    guest.run("modprobe -a xen-hcd usbtest")
    vusb = usbback.vusb(guest)
    vusb.create(f"--ports {PORTS}")
    vusb.wait_connected()
    with ExitStack() as stack:
        zeros = {port: stack.enter_context(Zero(usbback.dom0, port, speed="high")) for port in ports}
        for port, zero in zeros.items():
            usbback.add(vusb.rule(zero.busname, port))
            zero.plug()
        for port in zeros:
            vusb.wait_device(port)
        assert len(usbback.grabbed()) == len(ports)
        # As many writes as the port's number says: what strays is seen.
        nodes = {port: vusb.usbfs(port) for port in zeros}
        jobs = " ".join(f"{write(node, port)} || echo {port} >>/tmp/failed &" for port, node in nodes.items())
        guest.run(f"rm -f /tmp/failed; {jobs} wait; ! cat /tmp/failed 2>/dev/null", 300)
        assert {port: taken(zero) for port, zero in zeros.items()} == {port: port * SIZE for port in zeros}
        assert all(zero.sink()["wrong"] == 0 for zero in zeros.values())
    for port in zeros:
        vusb.wait_no_device(port)
    vusb.remove()


@pytest.fixture
def guests(lab, counts):
    """Several small guests, and no other."""
    for slot in range(1, GUESTS + 1):
        lab.guest(slot).destroy()
    guests = [lab.guest(slot) for slot in range(1, counts.shared_guests + 1)]
    for guest in guests:
        guest.start(memory=KERNEL.small_guest, frontend="ours")
    yield guests
    for guest in guests:
        guest.destroy()


@pytest.mark.stock_kernel("it measures")
def test_every_guest_gets_its_share(guests, usbback, counts, record_property):
    """Several controllers in each of several guests: every controller makes at least a third of the mean."""
    dom0 = usbback.dom0
    with ExitStack() as stack:
        controllers = {}
        for guest in guests:
            guest.run("modprobe usbtest")
            for number in range(counts.shared_vusbs):
                vusb = usbback.vusb(guest, number)
                vusb.create("--ports 4")
                at = len(controllers) * counts.shared_devices
                numbers = range(at + 1, at + counts.shared_devices + 1)
                zeros = [stack.enter_context(Zero(dom0, number, speed="high")) for number in numbers]
                for port, zero in enumerate(zeros, 1):
                    usbback.add(vusb.rule(zero.busname, port))
                    zero.plug()
                    vusb.wait_device(port)
                controllers[vusb] = zeros
        before = {vusb: sum(map(taken, zeros)) for vusb, zeros in controllers.items()}
        # All domains have the same clock. Nobody is asked anything meanwhile: dom0 has enough to do.
        begin = int(dom0.run("echo $EPOCHSECONDS")) + STARTS_WITHIN_S
        jobs = []
        for guest in guests:
            nodes = [vusb.usbfs(port) for vusb in controllers if vusb.guest is guest for port, _ in enumerate(controllers[vusb], 1)]
            loops = " ".join(f"({loop(node, begin)}) &" for node in nodes)
            jobs.append(guest.job(f"{loops} wait; exec [ ! -e /tmp/failed ]"))
        for job in jobs:
            assert job.wait(STARTS_WITHIN_S + 6 * SHARED_S).status == 0
        shares = [sum(map(taken, zeros)) - before[vusb] for vusb, zeros in controllers.items()]
        text = f"{len(shares)} controllers in {SHARED_S} s: {min(shares)} to {max(shares)} bytes, mean {sum(shares) // len(shares)}"
        print(text)
        record_property("shares", text)
        assert min(shares) >= sum(shares) / len(shares) / 3, text
        assert all(zero.sink()["wrong"] == 0 for zeros in controllers.values() for zero in zeros)
        for guest in guests:
            guest.destroy()


def loop(node: str, begin: int) -> str:
    """Writes to a device from one second until another."""
    wait = f"until [ $EPOCHSECONDS -ge {begin} ]; do read -rt 0.5 <>/run/lab/never; done"
    work = f"while [ $EPOCHSECONDS -lt {begin + SHARED_S} ]; do {write(node, BURST)} || {{ echo >/tmp/failed; break; }}; done"
    return f"{wait}; {work}"
