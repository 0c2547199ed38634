# SPDX-License-Identifier: GPL-2.0
"""A guest: a kernel and a ramdisk, reached through a network link from dom0.

The console is left to the kernel's messages. A command channel of its own is
what keeps a warning in mid-command from spoiling the command's output.
"""

import time
from dataclasses import dataclass

from lab.channel import PATIENCE, CommandTimeout, Domain, LabError, Result, guest_request, guest_result
from lab.dom0 import Dom0
from lab.kernel import KERNEL
from lab.machine import GUESTS

BOOT = 120

# An emulated machine that is emulated twice over: what the guest has no use for is not there.
# It does not ask each of 65,536 PCI functions for an AGP bridge, which takes half a minute.
HVM = """\
vga = "none"
vnc = 0
hpet = 0
vkb_device = 0
"""
HVM_KERNEL_ARGS = "pci=noearly i8042.nokbd i8042.noaux"


@dataclass(frozen=True)
class GuestOptions:
    """What a guest is made of; `frontend` is ours, stock or none."""

    type: str = KERNEL.guest_type
    frontend: str = "none"
    memory: int = KERNEL.guest
    vcpus: int = 1
    config: str = ""
    kernel_args: str = ""


class Guest(Domain):
    def __init__(self, dom0: Dom0, slot: int):
        if not 1 <= slot <= GUESTS:
            raise LabError(f"guests are numbered 1 to {GUESTS}")
        self.dom0 = dom0
        self.slot = slot
        self.name = f"guest{slot}"
        self.address = f"10.77.{slot}.2"

    def _request(self, verb: str, argument: str, body: bytes, timeout: float) -> Result:
        answer = self.dom0.via(self.address, guest_request(verb, argument, body), timeout)
        result = guest_result(answer.raw)
        if result is None:
            raise LabError(f"{self.name} gave no answer: {answer.output[:500]!r}")
        return result

    @property
    def domid(self) -> int:
        return int(self.dom0.run(f"xl domid {self.name}"))

    @property
    def alive(self) -> bool:
        return self.name in self.dom0.domains()

    def configure(self, options: GuestOptions) -> str:
        """Writes the xl configuration; returns its path in dom0."""
        path = f"/run/lab/{self.name}.cfg"
        # IPv6 would send something every few seconds: xen-netfront warns of a packet whose data is in
        # a slab page (get_page()) when it is sent between a restoration and the driver's turn to resume.
        extra = (
            "console=hvc0 loglevel=8 watchdog_thresh=60 ipv6.disable=1 usb_storage.delay_use=0"
            f" lab.ip={self.address} lab.frontend={options.frontend} {KERNEL.arguments} {options.kernel_args}"
        )
        hvm = options.type == "hvm"
        if hvm:
            extra += f" {HVM_KERNEL_ARGS}"
        # QEMU boots no ELF as HVM, Xen's own loaders need not unpack one.
        kernel = "vmlinuz" if hvm else "vmlinux"
        # The emulated processor does not promise an invariant TSC, as real ones do, so that Xen
        # would have each reading of the time trap.
        text = f"""\
name = "{self.name}"
type = "{options.type}"
kernel = "/lab/{kernel}"
ramdisk = "/run/guest.img"
memory = {options.memory}
vcpus = {options.vcpus}
tsc_mode = "native"
extra = "{extra.strip()}"
vif = ["type=vif,script=/lab/dom0/vif,ip={self.address}"]
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
{HVM if hvm else ""}{options.config}
"""
        self.dom0.put(path, text.encode())
        return path

    def start(self, **options) -> "Guest":
        """Creates the guest and waits until it takes commands."""
        path = self.configure(GuestOptions(**options))
        self.dom0.run(f"xl create -q {path}", BOOT)
        return self.wait_up()

    def wait_up(self, timeout: float = BOOT) -> "Guest":
        deadline = time.monotonic() + timeout * PATIENCE
        while time.monotonic() < deadline:
            try:
                if self.try_run("true").status == 0:
                    return self
            except CommandTimeout:
                raise
            except LabError as error:
                if not self.alive:
                    raise LabError(f"{self.name} died while booting; see its log") from error
        raise LabError(f"{self.name} took no commands; see its log")

    def checkpoint(self, file: str) -> None:
        """Saves the guest, which runs on."""
        self.dom0.run(f"xl save -c {self.name} {file}", BOOT)
        self.wait_up()

    def save(self, file: str) -> None:
        """Saves the guest, which ends."""
        self.dom0.run(f"xl save {self.name} {file}", BOOT)
        self.wait_gone()

    def restore(self, file: str) -> None:
        """Makes a new domain of a saved guest, which stands still until it is resumed."""
        self.dom0.run(f"xl restore -p {file}", BOOT)

    def resume(self) -> None:
        self.dom0.run(f"xl unpause {self.name}")
        self.wait_up()

    def destroy(self) -> None:
        """Takes the guest away at once; no error if there is none."""
        if self.alive:
            self.dom0.run(f"xl destroy {self.name}", 120)
        self.wait_gone()

    def wait_gone(self, timeout: float = 60) -> None:
        self.dom0.wait(f"! xl domid {self.name} 2>/dev/null", timeout, f"{self.name} is still there")
