# SPDX-License-Identifier: GPL-2.0
"""One virtual USB controller of one guest, seen from both of its halves."""

from lab.dom0 import Dom0
from lab.guest import Guest

CONNECTED = "4"
CLOSED = "6"
SPEEDS = {"disconnected": "0", "low": "1", "full": "2", "high": "3"}


class Vusb:
    def __init__(self, dom0: Dom0, guest: Guest, number: int = 0, backend: int = 0):
        self.dom0 = dom0
        self.guest = guest
        self.number = number
        self.backend_domid = backend
        # The longest request that the guest's disks may make, where its frontend has a limit.
        self.request_kib: int | None = None
        self.domid = guest.domid
        self.backend = f"/local/domain/{backend}/backend/vusb/{self.domid}/{number}"
        self.frontend = f"/local/domain/{self.domid}/device/vusb/{number}"

    def _script(self, *options: str) -> str:
        where = ["--backend", str(self.backend_domid)] if self.backend_domid else []
        return " ".join(["/lab/init_xs.sh", *options, *where, str(self.domid), str(self.number)])

    def create(self, *options: str) -> None:
        """Makes the nodes with the script of the 2009 text."""
        self.dom0.run(self._script(*options))

    def remove(self) -> None:
        """Undoes create(), and waits until both kernels have let go: the next test makes the same nodes."""
        self.dom0.run(self._script("--remove", "--timeout 60"), 120)
        self._wait_gone()

    def remove_forcibly(self, timeout: int = 2) -> None:
        """Undoes create() although a half may not say that it has closed: then its nodes go so many seconds later."""
        output, status = self.dom0.try_run(self._script("--remove", f"--timeout {timeout}"), 60)
        assert status in (0, 6), output
        self._wait_gone()

    def _wait_gone(self) -> None:
        if not self.backend_domid:
            self.dom0.wait(
                f"[ ! -e /sys/bus/xen-backend/devices/vusb-{self.domid}-{self.number} ]", 30, "the backend's half stays"
            )
        self.guest.wait(f"[ ! -e /sys/bus/xen/devices/vusb-{self.number} ]", 30, "the frontend's half stays")

    @property
    def exists(self) -> bool:
        return self.dom0.try_run(f"xenstore-exists {self.backend} || xenstore-exists {self.frontend}").status == 0

    @property
    def connected(self) -> bool:
        states = self.dom0.try_run(f"xenstore-read {self.backend}/state {self.frontend}/state")
        return states.status == 0 and states.output.split() == [CONNECTED, CONNECTED]

    def wait_connected(self, timeout: float = 60) -> None:
        both = f'"$(xenstore-read {self.backend}/state) $(xenstore-read {self.frontend}/state)"'
        self.dom0.wait(f"[ {both} = '{CONNECTED} {CONNECTED}' ]", timeout, "the two halves do not connect")

    def rule(self, busname: str, port: int) -> str:
        return f"{busname}:{self.domid}:{self.number}:{port}"

    def port_status(self, port: int) -> str | None:
        """The node port-N: 0 disconnected, 1 low, 2 full, 3 high speed."""
        return self.dom0.xenstore(f"{self.backend}/port-{port}")

    def wait_port_status(self, port: int, status: str, timeout: float = 30) -> None:
        node = f"{self.backend}/port-{port}"
        self.dom0.wait(f'[ "$(xenstore-read {node})" = {status} ]', timeout, f"port-{port} is never {status}")

    def bus(self) -> int:
        """The guest's number of this controller's bus."""
        name = self.guest.wait(f"cd /sys/bus/xen/devices/vusb-{self.number} && ls -d usb[0-9]*", 30, "no root hub in the guest")
        return int(name.removeprefix("usb"))

    def device(self, port: int) -> str:
        """The sysfs directory, in the guest, of the device on a port."""
        return f"/sys/bus/usb/devices/{self.bus()}-{port}"

    def wait_device(self, port: int, timeout: float = 60) -> str:
        """Waits until the guest has configured the device on a port."""
        device = self.device(port)
        self.guest.wait(f"ls -d {device}/*:*", timeout, f"no device on port {port} in the guest")
        return device

    def wait_no_device(self, port: int, timeout: float = 30) -> None:
        # The root hub may be gone with it, so its number is not asked for.
        device = f"/sys/bus/xen/devices/vusb-{self.number}/usb*/*-{port}"
        self.guest.wait(f"! ls -d {device} 2>/dev/null", timeout, f"the device on port {port} is still in the guest")

    def wait_empty(self, timeout: float = 30) -> None:
        """Waits until the guest has seen every device of this controller go."""
        devices = f"/sys/bus/xen/devices/vusb-{self.number}/usb*/[0-9]*-[1-9]*"
        self.guest.wait(f"! ls -d {devices} 2>/dev/null", timeout, "a device without a rule is still in the guest")

    def wait_disk(self, port: int, timeout: float = 60) -> str:
        """Waits for the disk on a port to be readable; returns its name, such as sda."""
        device = self.device(port)
        find = f'd=$(ls -d {device}/*/host*/target*/*/block/*) && [ "$(cat $d/size)" -gt 0 ] && echo ${{d##*/}}'
        disk = self.guest.wait(find, timeout, f"no disk on port {port} in the guest")
        if self.request_kib:
            self.guest.run(f"echo {self.request_kib} >/sys/block/{disk}/queue/max_sectors_kb")
        return disk

    def usbfs(self, port: int) -> str:
        """The guest's usbfs node of the device on a port."""
        device = self.device(port)
        bus, number = self.guest.run(f"cat {device}/busnum {device}/devnum").split()
        return f"/dev/bus/usb/{int(bus):03}/{int(number):03}"
