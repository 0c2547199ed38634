# SPDX-License-Identifier: GPL-2.0
"""dom0 of a lab: commands, its USB busses, its guests."""

from lab.channel import Channel, Domain, LabError, Result
from lab.machine import CONTROLLERS


class UsbHost(Domain):
    """A domain with USB controllers, emulated ones or software's."""

    def root_hub(self, controller: str, superspeed: bool = False) -> int:
        """USB bus number of an emulated controller, of gadget controller dummy.N, or of vhci.N."""
        if controller.startswith("vhci."):
            device = f"/sys/devices/platform/vhci_hcd.{controller.removeprefix('vhci.')}"
        elif controller.startswith("dummy."):
            device = f"/sys/devices/platform/dummy_hcd.{controller.removeprefix('dummy.')}"
        else:
            device = f"/sys/bus/pci/devices/0000:00:{CONTROLLERS[controller][1]:02x}.0"
        # A USB 3 controller has two root hubs; the SuperSpeed one is the later one.
        names = self.run(f"cd {device} && ls -d usb[0-9]*").split()
        if not names:
            raise LabError(f"{controller} has no root hub in dom0")
        numbers = [int(name.removeprefix("usb")) for name in names]
        return max(numbers) if superspeed else min(numbers)

    def busname(self, controller: str, port: int | str = 1, superspeed: bool = False) -> str:
        """What dom0's kernel calls the device on a port of a controller."""
        return f"{self.root_hub(controller, superspeed)}-{port}"


class Dom0(UsbHost):
    name = "dom0"

    def __init__(self, channel: Channel):
        self._channel = channel

    def _request(self, verb: str, argument: str, body: bytes, timeout: float) -> Result:
        return self._channel.request(verb, argument, body, timeout)

    def via(self, address: str, request: bytes, timeout: float) -> Result:
        """Hands a request to a guest and returns the guest's whole answer."""
        return self._channel.request("via", address, request, timeout)

    def xenstore(self, path: str) -> str | None:
        """A node's value, None if there is no such node."""
        result = self.try_run(f"xenstore-read '{path}' 2>/dev/null")
        return None if result.status else result.output.rstrip("\n")

    def linked_guests(self) -> list[int]:
        """Slots of the guests whose command link is up."""
        # Routes to 10.77.SLOT.0 stand in this file as little-endian hexadecimal: 00SS4D0A.
        return [int(line.split()[1][2:4], 16) for line in self.read("/proc/net/route").decode().splitlines() if "4D0A" in line]

    def domains(self) -> dict[str, int]:
        """The running domains' ids by name."""
        lines = self.run("xl list").splitlines()[1:]
        return {line.split()[0]: int(line.split()[1]) for line in lines}
