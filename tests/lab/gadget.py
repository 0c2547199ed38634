# SPDX-License-Identifier: GPL-2.0
"""USB devices made of software: configfs gadgets on dummy_hcd in dom0.

To USB core they are devices like any other. Binding a gadget to its controller
is plugging it in, unbinding is pulling it out.
"""

import shlex

from lab.dom0 import Dom0

CONFIGFS = "/sys/kernel/config/usb_gadget"


class Gadget:
    """One gadget on gadget controller number `udc`; made at once, plugged by plug()."""

    vendor, product = 0x0525, 0xA4A0

    def __init__(self, dom0: Dom0, udc: int = 0):
        self.dom0 = dom0
        self.udc = udc
        self.name = f"lab{udc}"
        self.path = f"{CONFIGFS}/{self.name}"
        self.plugged = False
        self._make()

    def functions(self) -> dict[str, dict[str, str]]:
        """Functions of the only configuration, each with its attributes."""
        raise NotImplementedError

    def _make(self) -> None:
        lines = [
            f"set -e; mkdir {self.path}; cd {self.path}",
            f"echo {self.vendor:#06x} >idVendor; echo {self.product:#06x} >idProduct; echo 0x0200 >bcdUSB",
            "mkdir strings/0x409; echo lab >strings/0x409/manufacturer",
            f"echo {type(self).__name__} >strings/0x409/product; echo 00000000000{self.udc} >strings/0x409/serialnumber",
            "mkdir configs/c.1",
        ]
        for function, attributes in self.functions().items():
            lines.append(f"mkdir functions/{function}")
            lines += [f"echo {shlex.quote(value)} >functions/{function}/{key}" for key, value in attributes.items()]
            lines.append(f"ln -s functions/{function} configs/c.1/")
        self.dom0.run("\n".join(lines))

    @property
    def busname(self) -> str:
        return self.dom0.busname(f"dummy.{self.udc}")

    def plug(self) -> "Gadget":
        self.dom0.run(f"echo dummy_udc.{self.udc} >{self.path}/UDC")
        self.plugged = True
        return self

    def unplug(self) -> None:
        self.dom0.run(f"echo >{self.path}/UDC")
        self.plugged = False

    def wait_present(self, timeout: float = 30) -> str:
        """Waits until dom0's USB core has the device; returns its busname."""
        busname = self.busname
        self.dom0.wait(f"[ -e /sys/bus/usb/devices/{busname}/bNumConfigurations ]", timeout, f"no device {busname}")
        return busname

    def wait_absent(self, timeout: float = 30) -> None:
        busname = self.busname
        self.dom0.wait(f"[ ! -e /sys/bus/usb/devices/{busname} ]", timeout, f"device {busname} is still there")

    def remove(self) -> None:
        """Undoes everything, in the order that configfs wants."""
        self.dom0.run(
            f"cd {self.path} 2>/dev/null || exit 0\n"
            "[ -z \"$(cat UDC)\" ] || echo >UDC\n"
            "rm -f configs/c.1/*.*; rmdir configs/c.1 functions/* strings/0x409\n"
            f"cd /; rmdir {self.path}"
        )
        self.plugged = False

    def __enter__(self) -> "Gadget":
        return self

    def __exit__(self, *_exc) -> None:
        self.remove()


class SourceSink(Gadget):
    """What the kernel's usbtest driver knows by 0525:a4a0."""

    def functions(self):
        return {"SourceSink.0": {}}


class Loopback(Gadget):
    def functions(self):
        return {"Loopback.0": {}}


class Stick(Gadget):
    """A memory stick over a file in dom0's memory."""

    vendor, product = 0x0525, 0xA4A5

    def __init__(self, dom0: Dom0, udc: int = 0, mib: int = 64):
        self.file = f"/tmp/stick{udc}"
        dom0.run(f"rm -f {self.file}; truncate -s {mib}M {self.file}")
        super().__init__(dom0, udc)

    def functions(self):
        return {"mass_storage.0": {"lun.0/removable": "1", "lun.0/file": self.file}}

    def remove(self) -> None:
        super().remove()
        self.dom0.run(f"rm -f {self.file}")
