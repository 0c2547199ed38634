# SPDX-License-Identifier: GPL-2.0
"""What xl calls USB controllers and devices of a guest."""

from lab.dom0 import Dom0
from lab.guest import Guest
from lab.plug import Pluggable
from lab.vusb import Vusb


class Xl:
    """xl's usb commands for one guest."""

    def __init__(self, dom0: Dom0, guest: Guest):
        self.dom0 = dom0
        self.guest = guest

    def attach_controller(self, ports: int = 8) -> Vusb:
        self.dom0.run(f"xl usbctrl-attach {self.guest.name} type=pv version=2 ports={ports}", 120)
        vusb = Vusb(self.dom0, self.guest, 0)
        vusb.wait_connected()
        return vusb

    def detach_controller(self, number: int = 0) -> None:
        self.dom0.run(f"xl usbctrl-detach {self.guest.name} {number}", 120)

    def attach(self, device: Pluggable, port: int = 1) -> None:
        bus, address = host_address(device)
        self.dom0.run(f"xl usbdev-attach {self.guest.name} hostbus={bus} hostaddr={address} controller=0 port={port}", 120)

    def detach(self, port: int = 1) -> None:
        self.dom0.run(f"xl usbdev-detach {self.guest.name} 0 {port}", 120)

    def list(self) -> str:
        return self.dom0.run(f"xl usb-list {self.guest.name}")


def host_address(device: Pluggable) -> tuple[int, int]:
    """Bus and device number, which are new after each plug."""
    bus, address = device.dom0.run(f"cat {device.sysfs}/busnum {device.sysfs}/devnum").split()
    return int(bus), int(address)
