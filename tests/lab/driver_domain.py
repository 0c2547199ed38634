# SPDX-License-Identifier: GPL-2.0
"""A guest that serves USB devices to other guests, as a USB qube does.

dummy_hcd stands in for a controller that was passed through.
"""

from lab.dom0 import UsbHost
from lab.guest import Guest
from lab.usbback import DRIVER
from lab.vusb import Vusb


class DriverDomain(Guest, UsbHost):
    def prepare(self, controllers: int = 1) -> "DriverDomain":
        """Has the backend, USB devices of software, and no class driver that would want them."""
        self.run(f"modprobe -a usbbk libcomposite usb_f_mass_storage usb_f_ss_lb && modprobe dummy_hcd num={controllers}")
        self.run("mount -t configfs configfs /sys/kernel/config")
        return self

    def add(self, rule: str) -> None:
        self.run(f"echo {rule} >{DRIVER}/new_vport")

    def vusb(self, guest: Guest, number: int = 0) -> Vusb:
        """A guest's controller that this one serves."""
        return Vusb(self.dom0, guest, number, backend=self.domid)
