# SPDX-License-Identifier: GPL-2.0
"""USB devices made of software: configfs gadgets on dummy_hcd in dom0.

The work is done by dom0's own `gadget` command, so that a person at a prompt
and a test make the same devices.
"""

from lab.dom0 import Dom0
from lab.plug import Pluggable


class Gadget(Pluggable):
    """One gadget on gadget controller number `udc`; made at once, plugged by plug()."""

    kind: str

    def __init__(self, dom0: Dom0, udc: int = 0, *arguments: object):
        super().__init__(dom0, f"dummy.{udc}", 1)
        self.udc = udc
        self.functions = f"/sys/kernel/config/usb_gadget/lab{udc}/functions"
        dom0.run(f"gadget {self.kind} {udc} {' '.join(map(str, arguments))}")

    def plug(self) -> "Gadget":
        self.dom0.run(f"gadget plug {self.udc}")
        return self

    def unplug(self) -> None:
        self.dom0.run(f"gadget unplug {self.udc}")

    def remove(self) -> None:
        self.dom0.run(f"gadget remove {self.udc}")


class SourceSink(Gadget):
    """What the kernel's usbtest driver knows by 0525:a4a0."""

    kind = "sourcesink"


class Loopback(Gadget):
    kind = "loopback"


class Storage(Gadget):
    """Has a disk over a file in dom0's memory."""

    def __init__(self, dom0: Dom0, udc: int = 0, mib: int = 64):
        super().__init__(dom0, udc, mib)
        self.file = f"/tmp/stick{udc}"
        self._mib = mib

    def fill(self) -> str:
        """Fills it with what nobody knows; returns the digest."""
        self.dom0.run(f"dd if=/dev/urandom of={self.file} bs=1M count={self._mib} conv=notrunc 2>/dev/null", 120)
        return self.digest()

    def digest(self) -> str:
        """What md5sum says of all of it."""
        return self.dom0.run(f"md5sum <{self.file}")


class Stick(Storage):
    """A memory stick."""

    kind = "stick"


class HidKeyboard(Gadget):
    """A boot keyboard; what is written to its hidg node it reports."""

    kind = "keyboard"

    def press(self, *usages: int) -> None:
        """Presses and releases keys, by their HID usage numbers."""
        # A report each: modifiers, nothing, up to six keys.
        reports = "".join(rf"printf '\0\0\{usage:o}\0\0\0\0\0' >&3; printf '\0\0\0\0\0\0\0\0' >&3;" for usage in usages)
        self.dom0.run(f"node=$(readlink -f /dev/char/$(cat {self.functions}/hid.usb0/dev)); exec 3>$node; {reports}")


class StickAndKeyboard(Storage, HidKeyboard):
    """One device, two functions: a memory stick and a boot keyboard."""

    kind = "composite"


class SerialLine(Gadget):
    """A modem without a modem (CDC-ACM): bytes in at one tty, out at another."""

    kind = "serial"

    @property
    def tty(self) -> str:
        """dom0's end."""
        return "/dev/ttyGS" + self.dom0.run(f"cat {self.functions}/acm.usb{self.udc}/port_num").strip()


class NetworkCard(Gadget):
    """An Ethernet adapter (CDC-NCM or CDC-ECM) with dom0 at the other end of the wire."""

    kind = "network"

    def __init__(self, dom0: Dom0, udc: int = 0, protocol: str = "ncm"):
        super().__init__(dom0, udc, protocol)
        self.protocol = protocol

    @property
    def interface(self) -> str:
        """dom0's end; there once it is plugged."""
        return self.dom0.run(f"cat {self.functions}/{self.protocol}.usb{self.udc}/ifname").strip()
