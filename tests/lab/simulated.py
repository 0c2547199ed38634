# SPDX-License-Identifier: GPL-2.0
"""USB devices simulated by tests/usbsim, on the ports of dom0's vhci_hcd.

They have what dummy_hcd has not: isochronous transfers, low speed, and
misbehaviour. `usbsim devices` in dom0 tells options and commands.
"""

from lab.dom0 import Dom0
from lab.plug import Pluggable

# An emulated machine on a busy host runs by fits and starts: a driver then has its
# transfers back after more bus time than it keeps queued, and a real device's
# data would be lost. The devices that stream wait for it instead, so that what
# a test finds lost, repeated or out of order is the software's doing. The
# counter `waited` tells how often they did.
SCALE = 4
# Of each controller's USB 2 root hub.
PORTS = 15
BUS = {"scale": SCALE, "patient": 1}


class Simulated(Pluggable):
    """A device of the simulator; options are those of `usbsim plug`."""

    kind: str

    def __init__(self, dom0: Dom0, port: int = 1, **options: object):
        super().__init__(dom0, f"vhci.{(port - 1) // PORTS}", (port - 1) % PORTS + 1)
        # usbsim counts on from one controller to the next.
        self.number = port
        dom0.run("modprobe vhci-hcd")
        self.options = " ".join(f"{name}={value}" for name, value in options.items())

    def plug(self) -> "Simulated":
        self.dom0.run(f"usbsim plug {self.number} {self.kind} {self.options}")
        return self

    def unplug(self) -> None:
        self.dom0.run(f"usbsim unplug {self.number}")

    def remove(self) -> None:
        # It may have been unplugged, or have vanished by itself.
        self.dom0.try_run(f"usbsim unplug {self.number}")
        self.wait_absent()

    @property
    def last_words(self) -> str:
        """Why it has gone by itself, if it has."""
        return self.dom0.try_run(f"cat /run/usbsim/{self.number}.log").output

    @property
    def usbfs(self) -> str:
        """dom0's usbfs node of the device."""
        bus, number = self.dom0.run(f"cat {self.sysfs}/busnum {self.sysfs}/devnum").split()
        return f"/dev/bus/usb/{int(bus):03}/{int(number):03}"

    def tell(self, *words: object) -> str:
        """Gives the device a command; returns its answer."""
        return self.dom0.run(f"usbsim tell {self.number} {' '.join(map(str, words))}")

    def counters(self, endpoint: int) -> dict[str, int]:
        """What has passed through an endpoint, by its address: see counters.rs."""
        for line in self.tell("stats").splitlines():
            name, *pairs = line.split()
            if name == f"ep={endpoint:02x}":
                return {key: int(value) for key, _, value in (pair.partition("=") for pair in pairs)}
        return {}


class Zero(Simulated):
    """Source and sink for usbtest, with isochronous endpoints in alternate setting 1."""

    kind = "zero"
    ISO_IN, ISO_OUT = 0x82, 0x02

    def sink(self) -> dict[str, int]:
        """Packets that came in, and those of them that did not hold the pattern."""
        return {key: int(value) for key, _, value in (pair.partition("=") for pair in self.tell("sink").split())}


class Echo(Simulated):
    """Sends back, at endpoint N, what was written to it; tests/storm is made for it."""

    kind = "echo"
    ENDPOINTS = (0x81, 0x01, 0x82, 0x02, 0x83, 0x03)


class Camera(Simulated):
    """A UVC camera of 160x120 pixels whose frames carry number and checksum."""

    kind = "camera"
    VIDEO = 0x81


class Microphone(Simulated):
    """A UAC1 microphone whose two channels together count samples."""

    kind = "microphone"
    AUDIO = 0x81


class SimulatedKeyboard(Simulated):
    """A boot keyboard at low speed."""

    kind = "keyboard"

    def press(self, *usages: int) -> None:
        """Presses and releases keys, by their HID usage numbers."""
        for usage in usages:
            self.tell("press", usage)


class Rogue(Simulated):
    """A device that breaks rules: name= one of corpus(), or seed=."""

    kind = "rogue"

    @property
    def _there(self) -> str:
        return f"[ -e /run/usbsim/{self.number} ]"

    @property
    def has_vanished(self) -> bool:
        """Whether it has gone by itself."""
        return self.dom0.try_run(self._there).status != 0

    def wait_settled(self, timeout: float = 60) -> bool:
        """Waits until dom0's USB core has taken it or given it up; says whether it has taken it."""
        bus, port = self.busname.split("-")
        # What is taken has half a second more, for drivers to find out what it is like.
        taken = f"[ -e {self.sysfs}/bNumConfigurations ] && sleep 0.5 && echo taken"
        gone = f"! {self._there}"
        refused = f"dmesg | grep -q 'usb{bus}-port{port}: unable to enumerate USB device'"
        how = self.dom0.wait(f"{taken} || {gone} || {refused}", timeout, f"{self.options} is neither taken nor refused")
        return how == "taken"


def corpus(dom0: Dom0) -> list[str]:
    """The names of all rogue devices."""
    return dom0.run("usbsim corpus").split()
