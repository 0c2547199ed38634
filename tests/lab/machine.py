# SPDX-License-Identifier: GPL-2.0
"""The QEMU process: real Xen on an emulated processor, with real USB controllers.

Everything that belongs to one running machine is in one directory: sockets,
logs and what is needed to find the process again from another one.
"""

import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import paths, payload
from lab.channel import PORTS, LabError
from lab.kernel import KERNEL
from lab.qmp import Monitor

GUESTS = 4
# PCI slots on purpose: dom0 finds a controller's root hub by its address.
CONTROLLERS = {
    "ehci": ("usb-ehci", 0x10),
    "uhci": ("piix3-usb-uhci", 0x11),
    "xhci": ("qemu-xhci,p2=8,p3=0", 0x12),
    "xhci3": ("qemu-xhci,p2=4,p3=4", 0x13),
}
# The one thing that emulated sound cards play to.
AUDIO = "recording"


@dataclass
class Options:
    """How a machine is made; all of it is kept beside the machine."""

    images: Path
    usbbk: Path | None = None
    xen_hcd: Path | None = None
    memory: int = KERNEL.machine
    gadgets: int = 3
    dom0_args: str = ""


class Machine:
    def __init__(self, directory: Path):
        self.directory = directory
        self.monitor = Monitor(directory / "monitor")
        # What an emulated sound card has played since it was plugged in.
        self.recording = directory / "recording.wav"
        self.logs = [directory / "dom0.log", *(directory / f"guest{n}.log" for n in range(1, GUESTS + 1))]

    @property
    def pid(self) -> int | None:
        """The process, if it is alive and QEMU; a pid alone may have been reused."""
        try:
            pid = int((self.directory / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return pid if str(self.directory).encode() in command else None

    def start(self, options: Options, keep: bool) -> None:
        """Starts QEMU; unless it is to be kept it dies with this process."""
        if self.pid:
            raise LabError(f"a lab is running already in {self.directory}; stop it first")
        self.directory.mkdir(parents=True, exist_ok=True)
        for stale in [*self.logs, self.directory / "commands.log", *self.directory.glob("lab.*"), self.directory / "monitor", self.directory / "pid"]:
            stale.unlink(missing_ok=True)
        (self.directory / "options.json").write_text(json.dumps(asdict(options), default=str, indent=1) + "\n")
        initrd = payload.build(options.images, self.directory / "payload", options.usbbk, options.xen_hcd)
        command = self._command(options, initrd)
        lifetime = ["setsid"] if keep else ["setpriv", "--pdeathsig", "KILL"]
        with (self.directory / "qemu.log").open("wb") as log:
            process = subprocess.Popen(
                [*lifetime, *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "TMPDIR": str(self.directory)},
            )  # fmt: skip
        (self.directory / "pid").write_text(str(process.pid))
        self._process = process
        deadline = time.monotonic() + 60
        while not (self.directory / "monitor").is_socket() or not self.pid:
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"QEMU did not start: {(self.directory / 'qemu.log').read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            while self.pid:
                if hasattr(self, "_process"):
                    self._process.wait()
                time.sleep(0.02)
        for left in (self.directory / "pid", self.directory / "monitor"):
            left.unlink(missing_ok=True)

    def _command(self, options: Options, initrd: Path) -> list[str]:
        at, images = self.directory, options.images
        kernel_args = (
            "console=hvc0 loglevel=8 lab.gadgets=%d net.ifnames=0 "
            # A disk is looked at as soon as it is there, not a second later.
            "usb_storage.delay_use=0 "
            "rcupdate.rcu_cpu_stall_timeout=240 watchdog_thresh=60 %s %s" % (options.gadgets, KERNEL.arguments, options.dom0_args)
        )
        words = [
            "qemu-system-x86_64", "-name", "pvusb-lab", "-accel", "tcg,thread=multi",
            "-cpu", "qemu64,+npt,+ssse3,+sse4.1,+sse4.2,+popcnt", "-smp", "2", "-m", str(options.memory),
            "-machine", "pc,i8042=off", "-nodefaults", "-no-reboot", "-display", "none",
            "-kernel", str(images / "xen.elf"),
            "-append", f"dom0_mem={KERNEL.dom0}M,max:{KERNEL.dom0}M dom0_max_vcpus=2 com1=115200,8n1 console=com1"
                       " loglvl=warning guest_loglvl=all spec-ctrl=no",
            "-initrd", f"{images / 'vmlinux'} {kernel_args},{initrd}",
            "-drive", f"file={images / 'dom0.ext4'},if=virtio,format=raw,snapshot=on,cache=unsafe",
            "-chardev", f"file,id=console,path={at / 'dom0.log'}", "-serial", "chardev:console",
            "-qmp", f"unix:{at / 'monitor'},server=on,wait=off",
            "-device", "virtio-serial",
            "-chardev", f"socket,id=tty,path={at / 'lab.tty'},server=on,wait=off",
            "-device", "virtconsole,chardev=tty",
        ]  # fmt: skip
        for number in range(PORTS):
            words += ["-chardev", f"socket,id=lab{number},path={at / f'lab.{number}'},server=on,wait=off"]
            words += ["-device", f"virtserialport,chardev=lab{number},name=lab.{number}"]
        for number in range(1, GUESTS + 1):
            words += ["-chardev", f"file,id=log{number},path={at / f'guest{number}.log'}"]
            words += ["-device", f"virtserialport,chardev=log{number},name=log.{number}"]
        # Without the mixing engine it writes what a device plays, not what it makes of that.
        words += ["-audiodev", f"wav,id={AUDIO},path={self.recording},out.voices=1,out.mixing-engine=off"]
        for name, (device, slot) in CONTROLLERS.items():
            words += ["-device", f"{device},id={name},addr={slot:#x}"]
        return words


def directory_of(name: str) -> Path:
    return paths.LABS / name


def options_of(directory: Path) -> Options:
    """The options that a running lab was started with."""
    stored = json.loads((directory / "options.json").read_text())
    for field in ("images", "usbbk", "xen_hcd"):
        stored[field] = stored[field] and Path(stored[field])
    return Options(**stored)
