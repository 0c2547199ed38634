# SPDX-License-Identifier: GPL-2.0
"""The backend `qusb`, a QEMU process in dom0 that reaches devices through libusb.

libxl starts one for `type=qusb`, but QEMU (10.0 and 11.1) ends when it finds a controller
that was not there when it started; so it is started here, after the nodes are made. It also dies
of a device that is there before it runs, at the guest's first request, so `give` comes last.
"""

from lab.dom0 import Dom0
from lab.guest import Guest
from lab.plug import Pluggable
from lab.vusb import CLOSED, Vusb

QEMU = "/usr/libexec/xen-qemu-system-i386"


class QemuBackend(Vusb):
    """Vusb `number` of a guest, served by QEMU; leaving a `with` block ends both."""

    def __init__(self, dom0: Dom0, guest: Guest, number: int = 1, ports: int = 4):
        super().__init__(dom0, guest, number)
        self.backend = f"/local/domain/0/backend/qusb/{self.domid}/{number}"
        self.ports = ports

    def create(self, *options: str) -> None:
        """Makes the nodes as libxl does, whose order matters to the guest's xenbus: `state` last."""
        here, there = self.backend, self.frontend
        settings = {"frontend-id": self.domid, "frontend": there, "num-ports": self.ports, "usb-ver": 2, "type": "qusb", "online": 1}
        settings |= {f"port/{port}": "''" for port in range(1, self.ports + 1)}
        nodes = " ".join(f"{here}/{name} {value}" for name, value in settings.items())
        self.dom0.run(
            f"xenstore-write {there} '' {here} ''; xenstore-chmod {there} n{self.domid} r0; xenstore-chmod {here} n0 r{self.domid};"
            f" xenstore-write {nodes} {there}/backend-id 0 {there}/backend {here};"
            f" xenstore-write {there}/state 1 {here}/state 1"
        )

    def __enter__(self) -> "QemuBackend":
        self.create()
        # A machine without devices, beside a guest that runs already.
        words = f"-M xenpv -xen-attach -xen-domid {self.domid} -nodefaults -no-user-config -display none -monitor none"
        self.process = self.dom0.job(f"exec {QEMU} {words}")
        self.wait_connected()
        return self

    def give(self, device: Pluggable, port: int = 1) -> None:
        """Gives a device that dom0 has to the guest."""
        device.wait_present()
        # QEMU hears from udev of devices: before that it may take one for the last one there, without a speed.
        self.dom0.run("udevadm settle")
        self.dom0.run(f"xenstore-write {self.backend}/port/{port} {device.busname}")

    def take(self, port: int = 1) -> None:
        self.dom0.run(f"xenstore-write {self.backend}/port/{port} ''")

    def die(self) -> None:
        """Ends the process in the midst of whatever it does: nodes stay as they are."""
        self.process.kill()
        self.process = None

    def remove(self) -> None:
        """Removes the nodes; the guest's half goes with them."""
        self.dom0.run(f"xenstore-rm {self.frontend}; xenstore-rm {self.backend}")
        self.guest.wait(f"[ ! -e /sys/bus/xen/devices/vusb-{self.number} ]", 30, "the guest keeps a controller without nodes")

    def __exit__(self, kind, *_exc) -> None:
        if kind is not None:
            return
        if self.process:
            assert self.process.running(), f"QEMU has died: {self.process.wait().output}"
            self.dom0.run(f"xenstore-write {self.backend}/online 0 {self.backend}/state 5")
            self.dom0.wait(f'[ "$(xenstore-read {self.frontend}/state)" = {CLOSED} ]', 30, "the frontend does not close")
            self.dom0.wait(f'[ "$(xenstore-read {self.backend}/state)" = {CLOSED} ]', 30, "QEMU does not close")
            self.die()
        self.remove()
