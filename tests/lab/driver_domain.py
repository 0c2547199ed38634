# SPDX-License-Identifier: GPL-2.0
"""A guest that serves USB devices to other guests, as a USB qube does.

dummy_hcd stands in for a controller that was passed through.
"""

from lab.dom0 import UsbHost
from lab.guest import Guest


class DriverDomain(Guest, UsbHost):
    def prepare(self) -> "DriverDomain":
        """Has USB devices of software, and no class driver that would want them."""
        self.run("modprobe -a libcomposite dummy_hcd usb_f_mass_storage")
        self.run("mount -t configfs configfs /sys/kernel/config")
        return self
