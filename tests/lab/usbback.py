# SPDX-License-Identifier: GPL-2.0
"""The backend as an administrator sees it: its module, its sysfs files, its rules."""

import base64

from lab.dom0 import Dom0
from lab.guest import Guest
from lab.vusb import Vusb

DRIVER = "/sys/bus/usb/drivers/usbback"


class Usbback:
    def __init__(self, dom0: Dom0):
        self.dom0 = dom0

    def load(self) -> None:
        """Loads the module; modprobe must take ours from updates/.

        The host's drivers are there before it, as on a host that has had devices.
        """
        self.dom0.run(f"modprobe -a usb-storage uas usbhid usbbk && [ -w {DRIVER}/new_vport ]")

    def unload(self) -> None:
        self.dom0.run("rmmod usbbk")

    def write(self, file: str, *values: bytes | str) -> list[str]:
        """Writes values one by one; OK or the errno's name for each."""
        coded = [base64.b64encode(v.encode() if isinstance(v, str) else v) for v in values]
        self.dom0.put("/run/lab/values", b"\n".join(coded) + b"\n")
        return self.dom0.run(f"write-each {DRIVER}/{file} /run/lab/values", 120).split()

    def add(self, rule: str) -> None:
        """Adds a rule as the 2009 text does it, with echo and its newline."""
        self.dom0.run(f"echo {rule} >{DRIVER}/new_vport")

    def remove(self, rule: str) -> None:
        self.dom0.run(f"echo {rule} >{DRIVER}/remove_vport")

    def rules(self) -> list[str]:
        return self.dom0.run(f"cat {DRIVER}/vports").splitlines()

    def grabbed(self) -> list[str]:
        return self.dom0.run(f"cat {DRIVER}/grabbed_devices").splitlines()

    def reserved(self) -> list[str]:
        return self.dom0.run(f"cat {DRIVER}/reserved_ports").splitlines()

    def clear(self) -> None:
        """Removes every rule and reservation, so that one test's devices are not the next one's."""
        self.dom0.run(
            f"[ -e {DRIVER} ] || exit 0; cd {DRIVER}; mapfile -t rules <<<\"$(cat vports reserved_ports)\";"
            ' for rule in "${rules[@]}"; do echo "$rule" >remove_vport; done 2>/dev/null;'
            " ! grep . vports reserved_ports",
            120,
        )

    def vusb(self, guest: Guest, number: int = 0) -> Vusb:
        return Vusb(self.dom0, guest, number)
