# SPDX-License-Identifier: GPL-2.0
"""A hostile guest, one that must not suffer from it, and what dom0 may not keep or say."""

import re
import time

from lab.channel import PATIENCE, Job
from lab.gadget import Stick
from lab.simulated import Simulated

# What one guest can make dom0 log about it, a second and at once: ten bad
# requests and ten failed connections, of up to four lines, in five seconds;
# and about its devices, which it may reset: that takes a tenth of a second.
LINES_A_SECOND = 10
LINES_OF_THE_CORE = 10
LINES_AT_ONCE = 100


class RogueFrontend:
    """A guest's controller without a driver, and the program that plays one; tests/rogue.

    Device N of `devices` is on port N. They are dom0's, or those of the driver domain that serves the guest.
    """

    def __init__(self, usbback, guest, *devices):
        self.guest = guest
        self.vusb = usbback.vusb(guest)
        self._usbback = usbback
        self.devices = devices
        guest.run("modprobe xen-gntalloc")

    def make(self) -> None:
        """Makes the vusb; devices that were given before are on it again."""
        self.vusb.create()

    def give(self) -> None:
        for port, device in enumerate(self.devices, 1):
            self._usbback.add(self.vusb.rule(device.busname, port))
            device.plug()

    def wait_given(self) -> None:
        for port, _ in enumerate(self.devices, 1):
            self.vusb.wait_port_status(port, "3")

    def _words(self) -> str:
        words = []
        for port, device in enumerate(self.devices, 1):
            kind = "stick" if isinstance(device, Stick) else "other"
            descriptor = device.dom0.read(f"{device.sysfs}/descriptors")[:18].hex()
            words.append(f"--device {port}:{kind}:{descriptor}")
        return " ".join(words)

    def start(self, name: str, count: int, seed: int) -> tuple[Job, float]:
        """Starts one attack; the program itself checks that the devices work afterwards."""
        job = self.guest.job(f"exec rogue --seed {seed} --count {count} {self._words()} {name}")
        return job, 180 + count / 20

    def finish(self, attack: tuple[Job, float]) -> int:
        """Waits until it has ended, and well. Returns how often rings were offered for it."""
        job, limit = attack
        output, status = job.wait(limit)
        print(output, end="", flush=True)
        said = [device.last_words for device in self.devices if isinstance(device, Simulated)]
        assert status == 0, output + "".join(said)
        return int(re.search(r"(\d+) connections\n\Z", output)[1])

    def attack(self, name: str, count: int, seed: int) -> int:
        return self.finish(self.start(name, count, seed))


class Reader:
    """A vusb that must not suffer, of another guest or the same: reads its own stick over and over and compares."""

    def __init__(self, usbback, guest, udc: int, number: int = 0, pause_s: float = 0.5):
        self.guest = guest
        self.vusb = usbback.vusb(guest, number)
        self._usbback = usbback
        self._stick = Stick(usbback.dom0, udc, mib=2)
        self._pause_s = pause_s

    def __enter__(self) -> "Reader":
        dom0 = self._usbback.dom0
        self.guest.run("modprobe xen-hcd")
        self.vusb.create()
        self.vusb.wait_connected()
        digest = self._stick.fill().strip()
        self._usbback.add(self.vusb.rule(self._stick.busname, 1))
        self._stick.plug()
        read = f"dd if=/dev/{self.vusb.wait_disk(1)} bs=64k iflag=direct 2>/dev/null | md5sum"
        self.guest.run("rm -f /tmp/read")
        self._job = self.guest.job(
            f"while sum=$({read}) && [ \"$sum\" = '{digest}' ]; do echo >>/tmp/read; sleep {self._pause_s}; done; echo \"$sum\""
        )
        return self

    def reads(self) -> int:
        """Right readings of the whole stick so far; none may have been wrong."""
        assert self._job.running(), f"read wrongly: {self._job.wait().output}"
        return len(self.guest.run("cat /tmp/read 2>/dev/null || true").splitlines())

    def assert_goes_on(self, before: int) -> None:
        deadline = time.monotonic() + 30 * PATIENCE
        while self.reads() <= before:
            assert time.monotonic() < deadline, "the other reading has stopped"
            time.sleep(0.5)

    def __exit__(self, kind, *_exc) -> None:
        if kind is None:
            self._job.kill()
            self.vusb.remove()
            self._usbback.clear()
            self._stick.remove()


class BoundedLog:
    """Checks that dom0 does not log more about a guest and its devices than it should."""

    def __init__(self, lab, domid: int, *devices):
        self._lab = lab
        core = "|".join(rf"usb {re.escape(device.busname)}:" for device in devices)
        self._mine = re.compile(rf"vusb-{domid}-|domain {domid}, vusb|pvusb:|{core}")
        self._log = lab.machine.logs[0]

    def _lines(self) -> int:
        self._lab.flush_logs()
        return sum(bool(self._mine.search(line)) for line in self._log.read_text(errors="replace").splitlines())

    def __enter__(self) -> None:
        self._before = self._lines()
        self._start = time.monotonic()

    def __exit__(self, kind, *_exc) -> None:
        if kind is None:
            lines = self._lines() - self._before
            allowed = LINES_AT_ONCE + (LINES_A_SECOND + LINES_OF_THE_CORE) * (time.monotonic() - self._start)
            print(f"dom0 has logged {lines} lines about the guest and its devices, {allowed:.0f} are allowed")
            assert lines <= allowed


def held(domain) -> dict[str, int]:
    """What dom0 or a driver domain has of guests' rings: foreign pages mapped, and event channels bound for us."""
    counts = domain.run("grep -c xenbus_map_ring /proc/vmallocinfo; grep -c vusb /proc/interrupts; true").split()
    return dict(zip(("rings", "channels"), map(int, counts), strict=True))
