# SPDX-License-Identifier: GPL-2.0
"""What a device that can be plugged has, whatever it is made of."""

from abc import ABC, abstractmethod

from lab.dom0 import Dom0


class Pluggable(ABC):
    """Plugged by plug() on a known port; leaving a `with` block removes it."""

    # Whether it runs at SuperSpeed where the controller does.
    superspeed = False

    def __init__(self, dom0: Dom0, controller: str, port: int | str):
        self.dom0 = dom0
        self.controller = controller
        self.port = port
        self._busname: str | None = None

    @property
    def busname(self) -> str:
        """What dom0's kernel calls a device on this port, plugged or not."""
        if self._busname is None:
            self._busname = self.dom0.busname(self.controller, self.port, self.superspeed)
        return self._busname

    @property
    def sysfs(self) -> str:
        return f"/sys/bus/usb/devices/{self.busname}"

    @abstractmethod
    def plug(self) -> "Pluggable": ...

    @abstractmethod
    def unplug(self) -> None: ...

    @abstractmethod
    def remove(self) -> None: ...

    def wait_present(self, timeout: float = 30) -> "Pluggable":
        """Waits until dom0's USB core has read the device's descriptors."""
        self.dom0.wait(f"[ -e {self.sysfs}/bNumConfigurations ]", timeout, f"no device {self.busname}")
        return self

    def wait_absent(self, timeout: float = 30) -> None:
        self.dom0.wait(f"[ ! -e {self.sysfs} ]", timeout, f"device {self.busname} is still there")

    def drivers(self) -> dict[str, str]:
        """The driver of each interface in dom0, "" for none."""
        lines = self.dom0.run(
            f"for i in {self.sysfs}/{self.busname}:*; do [ -e $i ] || continue;"
            ' echo "${i##*/} $(basename "$(readlink $i/driver)")"; done'
        )
        return {name: rest[0] if rest else "" for name, *rest in (line.split() for line in lines.splitlines())}

    def __enter__(self) -> "Pluggable":
        return self

    def __exit__(self, *_exc) -> None:
        self.remove()
