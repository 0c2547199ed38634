# SPDX-License-Identifier: GPL-2.0
"""A hostile backend in dom0, the guest's driver that keeps asking it for things, and what the guest may say."""

import re

# What one connection may make the guest log about the controller: five lines of the
# kernel's that it has come and gone, and ours, that it is connected and why no more.
# About devices the USB core and drivers say what they like.
LINES_A_CONNECTION = 8
LINES_AT_ONCE = 20

# All of usbtest's cases in turn, and those that are isochronous by themselves; and for how many tenths of a second.
TURNS = (("", 10), ("-t 15", 3), ("-t 16", 3), ("", 10), ("-t 22", 3), ("-t 23", 3))


class RogueBackend:
    """Vusb `number` of a guest, whose backend is tests/rogue in dom0's user space."""

    def __init__(self, dom0, guest, number: int = 0):
        self.dom0 = dom0
        self.guest = guest
        self.domid = guest.domid
        self.number = number
        self.state = f"/local/domain/{self.domid}/device/vusb/{number}/state"
        self._device = f"/sys/bus/xen/devices/vusb-{number}"

    def attack(self, name: str, count: int, seed: int) -> int:
        """Runs one attack; the program itself checks that an honest backend is served afterwards.

        Returns how many connections were made for it.
        """
        return self.survived(self.start(name, count, seed), 180 + count)

    def survived(self, job, limit: float) -> int:
        output, status = job.wait(limit)
        print(output, end="", flush=True)
        assert status == 0, output
        return int(re.search(r"(\d+) connections\n\Z", output)[1])

    def start(self, name: str, count: int, seed: int):
        """An attack that runs by itself."""
        words = f"--guest {self.domid} --vusb {self.number} --seed {seed} --count {count} {name}"
        return self.dom0.job(f"exec rogue backend {words}")

    def remove(self) -> None:
        """Removes the nodes, as a toolstack does when a backend is dead."""
        for directory in (f"/local/domain/{self.domid}/device/vusb", f"/local/domain/0/backend/qusb/{self.domid}"):
            self.dom0.run(f"xenstore-rm {directory}/{self.number} 2>/dev/null || true")
        self.guest.wait(f"[ ! -e {self._device} ]", 30, "the guest keeps a controller without nodes")

    def unbind(self, limit: float) -> None:
        """Takes the driver off the device, whatever its backend does."""
        self.guest.run(f"echo vusb-{self.number} >{self._device}/driver/unbind", limit)


class Driver:
    """The kernel's usbtest in the guest, which goes through its cases on every device that it knows.

    Transfers are short, so that each kind comes soon, but of whole pages, which are granted in place.
    With `isochronous` it knows only those that have such endpoints in their altsetting 1.
    """

    def __init__(self, guest, isochronous: bool = True):
        self.guest = guest
        self._alternative = "alt=1" if isochronous else ""

    def __enter__(self) -> "Driver":
        self.guest.run(f"modprobe usbtest {self._alternative}")
        turns = "\n".join(f"use {tenths} {cases}" for cases, tenths in TURNS)
        # A device may go at any moment: testusb goes on without it until it is killed.
        self._job = self.guest.job(
            f"""exec 8<>/run/lab/never
            use() {{
                testusb -D $node -l $2 $3 -c 8 -s 16384 -v 512 -g 4 &
                for ((n = 0; n < $1; n++)); do [ ! -e $interface ] || read -rt 0.1 -u 8; done
                kill -9 $!
                wait $!
            }}
            while :; do
                for interface in /sys/bus/usb/drivers/usbtest/*:*; do
                    if ! read -r bus <$interface/../busnum || ! read -r dev <$interface/../devnum; then
                        read -rt 0.2 -u 8
                        continue
                    fi
                    node=$(printf /dev/bus/usb/%03d/%03d $bus $dev)
                    {turns}
                done
            done >/dev/null 2>&1"""
        )
        return self

    def __exit__(self, kind, *_exc) -> None:
        if kind is None:
            self._job.kill()


class MappedReader:
    """A program in the guest that reads from the rogue's device into pages of its own, which are granted where they lie."""

    # The simulated zero's product number; the sticks of a run have another.
    _PRODUCT = "a4a0"

    def __init__(self, guest):
        self._guest = guest

    def __enter__(self) -> "MappedReader":
        # usbtest would have the device's interface.
        self._guest.run("! grep -q ^usbtest /proc/modules")
        self._job = self._guest.job(
            f"""exec 8<>/run/lab/never
            while :; do
                for product in $(grep -l {self._PRODUCT} /sys/bus/usb/devices/*/idProduct); do
                    device=${{product%/*}}
                    read -r bus <$device/busnum && read -r dev <$device/devnum || continue
                    storm --mapped $(printf /dev/bus/usb/%03d/%03d $bus $dev)
                done
                read -rt 0.2 -u 8
            done >/dev/null 2>&1"""
        )
        return self

    def __exit__(self, kind, *_exc) -> None:
        if kind is None:
            self._job.kill()


class BoundedLog:
    """Checks that the guest's frontend does not log more about its connections than it should."""

    def __init__(self, lab, guest, number: int = 0):
        self._lab = lab
        self._mine = re.compile(rf"\] \w+ vusb-{number}:")
        self._log = lab.machine.logs[guest.slot]
        self.connections = 0

    def _lines(self) -> int:
        self._lab.flush_logs()
        return sum(bool(self._mine.search(line)) for line in self._log.read_text(errors="replace").splitlines())

    def __enter__(self) -> "BoundedLog":
        self._before = self._lines()
        return self

    def __exit__(self, kind, *_exc) -> None:
        if kind is None:
            lines = self._lines() - self._before
            allowed = LINES_AT_ONCE + LINES_A_CONNECTION * self.connections
            print(f"the guest has logged {lines} lines about {self.connections} connections, {allowed} are allowed")
            assert lines <= allowed
