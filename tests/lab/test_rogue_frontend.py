# SPDX-License-Identifier: GPL-2.0
"""A guest whose frontend breaks every rule harms nobody but itself.

The guest runs tests/rogue in place of a driver. dom0 must neither complain nor
keep anything, and another guest's stick must stay readable and right all along.
"""

import re
import time

import pytest

from lab.channel import PATIENCE
from lab.gadget import Stick
from lab.memory import NoGrowth
from lab.simulated import Zero

# Shares of a run's requests and connections.
REQUESTS = {"fields": 0.5, "rewrite": 0.2, "grants": 0.1, "unlinks": 0.2}
CONNECTIONS = {"producers": 0.1, "conn": 0.2, "nodes": 0.2, "renegotiate": 0.1, "storms": 0.4}
VANISHINGS = 10
# What one guest can make dom0 log about it, a second and at once.
LINES_A_SECOND = 8
LINES_AT_ONCE = 100


class Rogue:
    """A guest's controller without a driver, and the program that plays one."""

    def __init__(self, usbback, guest, *devices):
        self.guest = guest
        self.vusb = usbback.vusb(guest)
        self._usbback = usbback
        self._devices = devices
        guest.run("modprobe xen-gntalloc")

    def __enter__(self) -> "Rogue":
        self.vusb.create()
        for port, device in enumerate(self._devices, 1):
            self._usbback.add(self.vusb.rule(device.busname, port))
            if port == 1 or not self._present(device):
                device.plug()
            self.vusb.wait_port_status(port, "3")
        return self

    def __exit__(self, kind, *_exc) -> None:
        if kind is None:
            self.vusb.remove()

    def _present(self, device) -> bool:
        return device.dom0.try_run(f"[ -e {device.sysfs} ]").status == 0

    def attack(self, name: str, count: int, seed: int) -> None:
        words = []
        for port, device in enumerate(self._devices, 1):
            descriptor = device.dom0.run(f"head -c 18 {device.sysfs}/descriptors | od -An -v -tx1 | tr -d ' \\n'").strip()
            words.append(f"--device {port}:{'stick' if isinstance(device, Stick) else 'other'}:{descriptor}")
        job = self.guest.job(f"exec rogue --seed {seed} --count {count} {' '.join(words)} {name}")
        output, status = job.wait(120 + count / 20)
        print(output, end="")
        assert status == 0, output


class Reader:
    """Another guest, which reads its own stick over and over and compares."""

    def __init__(self, usbback, guest):
        self.guest = guest
        self.vusb = usbback.vusb(guest)
        self._usbback = usbback
        self._stick = Stick(usbback.dom0, 1, mib=4)

    def __enter__(self) -> "Reader":
        self.guest.run("modprobe xen-hcd")
        self.vusb.create()
        self.vusb.wait_connected()
        dom0 = self._usbback.dom0
        dom0.run(f"dd if=/dev/urandom of={self._stick.file} bs=1M count=4 conv=notrunc 2>/dev/null")
        digest = dom0.run(f"md5sum <{self._stick.file}").strip()
        self._usbback.add(self.vusb.rule(self._stick.busname, 1))
        self._stick.plug()
        disk = self.vusb.wait_disk(1)
        self.guest.run("rm -f /tmp/read")
        self._job = self.guest.job(
            f"while sum=$(dd if=/dev/{disk} bs=64k iflag=direct | md5sum) && [ \"$sum\" = '{digest}' ]; do echo >>/tmp/read; sleep 0.5; done"
        )
        return self

    def reads(self) -> int:
        """Right readings of the whole stick so far; all must have been right."""
        assert self._job.running(), self._job.wait().output
        return len(self.guest.run("cat /tmp/read 2>/dev/null || true").splitlines())

    def __exit__(self, kind, *_exc) -> None:
        if kind is None:
            self._job.kill()
            self.vusb.remove()
            self._usbback.clear()
            self._stick.remove()


class BoundedLog:
    """Checks that dom0 does not log more about a guest than it should."""

    def __init__(self, lab, domid):
        self._lab = lab
        self._mine = re.compile(rf"vusb-{domid}-|domain {domid}, vusb")
        self._file = lab.machine.logs[0]

    def _lines(self) -> int:
        self._lab.flush_logs()
        return sum(bool(self._mine.search(line)) for line in self._file.read_text(errors="replace").splitlines())

    def __enter__(self) -> None:
        self._before = self._lines()
        self._start = time.monotonic()

    def __exit__(self, kind, *_exc) -> None:
        if kind is None:
            lines = self._lines() - self._before
            allowed = LINES_AT_ONCE + LINES_A_SECOND * (time.monotonic() - self._start)
            print(f"dom0 has logged {lines} lines about the guest, of {allowed:.0f} allowed")
            assert lines <= allowed


@pytest.fixture
def rogue_guest(guest):
    return guest


@pytest.fixture
def reader(lab, usbback):
    """Another guest that reads its stick all along."""
    other = lab.guest(3)
    if not other.alive:
        other.start()
    with Reader(usbback, other) as reader:
        yield reader
    other.run("rmmod xen_hcd")


def assert_progress(reader, before: int) -> None:
    """The other guest goes on: it reads right, and once more from the start."""
    deadline = time.monotonic() + 30 * PATIENCE
    while reader.reads() <= before:
        assert time.monotonic() < deadline, "the other guest's reading has stopped"
        time.sleep(0.5)


def test_attacks(lab, rogue_guest, usbback, reader, counts):
    dom0 = lab.dom0
    plan = [(name, int(share * counts.hostile_requests)) for name, share in REQUESTS.items()]
    plan += [(name, int(share * counts.hostile_connections)) for name, share in CONNECTIONS.items()]
    plan += [("events", counts.hostile_events), ("states", counts.hostile_connections)]
    with Stick(dom0, 0, mib=4) as stick, Zero(dom0, 1, speed="high") as zero:
        with Rogue(usbback, rogue_guest, stick, zero) as rogue:
            rogue.attack("fields", 20, 1)  # what is allocated once is allocated now
            with NoGrowth(dom0, counts.hostile_seeds), BoundedLog(lab, rogue_guest.domid):
                for seed in range(1, 1 + counts.hostile_seeds):
                    for name, count in plan:
                        before = reader.reads()
                        rogue.attack(name, count, seed)
                        assert_progress(reader, before)
        usbback.clear()
