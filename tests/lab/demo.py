# SPDX-License-Identifier: GPL-2.0
"""A USB stick of dom0 being used in a guest, as the 2009 announcement tells it.

Every step is the command that an administrator would type, with what it
printed; the checksums are compared outside, where the stick's file is.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab import paths
from lab.channel import LabError
from lab.emulated import Disk
from lab.lab import Lab, default_images
from lab.machine import Options

MIB = 32
CONTROLLER = "ehci"
FILES = "/sys/bus/usb/drivers/usbback"


class Demo:
    def __init__(self, lab: Lab):
        self.lab = lab
        self.times: list[tuple[str, float, str]] = []

    def step(self, title: str, action, size: int = 0):
        """Runs one step, says what it is, and keeps how long it took."""
        print(f"\n-- {title}", flush=True)
        start = time.monotonic()
        result = action()
        took = time.monotonic() - start
        rate = f"{size / took:.1f} MiB/s" if size else ""
        self.times.append((title, took, rate))
        return result

    def shell(self, domain, command: str, timeout: float = 120) -> str:
        """Types a command in a domain, visibly."""
        print(f"{domain.name}# {command}", flush=True)
        output = domain.run(command, timeout).rstrip("\n")
        if output:
            print(output, flush=True)
        return output


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check(what: str, got: str, wanted: str) -> None:
    if got != wanted:
        raise LabError(f"{what}: the checksums differ: {got} and {wanted}")
    print(f"{what}: checksums equal ({wanted[:16]}…)", flush=True)


def extract(disk: Path, name: str) -> bytes:
    """A file of the stick's filesystem, read without mounting it."""
    with tempfile.NamedTemporaryFile(dir=disk.parent) as out:
        subprocess.run(["debugfs", "-R", f"dump /{name} {out.name}", disk], check=True, capture_output=True)
        return Path(out.name).read_bytes()


def fill(stick: Disk, data: bytes) -> None:
    """Puts a filesystem with one file on the stick, before it is plugged."""
    with tempfile.TemporaryDirectory(dir=stick.file.parent) as directory:
        (Path(directory) / "from-dom0").write_bytes(data)
        subprocess.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "STICK", "-d", directory, stick.file], check=True
        )


def tell(demo: Demo, workdir: Path) -> None:
    lab, dom0 = demo.lab, demo.lab.dom0
    guest = demo.step("start a guest", lambda: lab.guest(1).start())
    print(f"{guest.name} is domain {guest.domid}, with an unmodified Debian kernel", flush=True)

    demo.step("load the backend in dom0", lambda: demo.shell(dom0, "modprobe usbbk"))
    demo.step("load the frontend in the guest", lambda: demo.shell(guest, "modprobe xen-hcd"))
    demo.step("set up the XenStore", lambda: demo.shell(dom0, f"/lab/init_xs.sh {guest.domid} 0"))

    stick = Disk(dom0, lab.monitor, CONTROLLER, workdir / "stick", mib=128)
    data = os.urandom(MIB << 20)
    fill(stick, data)

    def rule() -> None:
        demo.shell(dom0, f"echo {stick.busname}:{guest.domid}:0:1 > {FILES}/new_vport")
        demo.shell(dom0, f"cat {FILES}/vports")

    demo.step("write the hotplug rule", rule)

    def plug() -> None:
        stick.plug()
        print(f"(the stick goes into port {stick.busname})", flush=True)
        dom0.wait(f"cat {FILES}/grabbed_devices | grep .", 30, "the device was not claimed")
        demo.shell(dom0, f"cat {FILES}/grabbed_devices")
        guest.wait("[ -b /dev/sda ] && echo found", 60, "no disk appeared in the guest")
        demo.shell(guest, "dmesg | grep -E 'usb 1-1|sda' | tail -n 8")

    demo.step("plug the stick", plug)
    demo.step("dom0 has no disk of it", lambda: demo.shell(dom0, "[ -z \"$(ls /dev/sd* 2>/dev/null)\" ]"))
    demo.step("mount it in the guest", lambda: demo.shell(guest, "mkdir -p /mnt && mount -t ext4 /dev/sda /mnt && ls -l /mnt"))
    demo.step(f"copy {MIB} MiB from the stick", lambda: demo.shell(guest, "cp /mnt/from-dom0 /tmp/copy"), MIB)
    check("stick to guest", guest.run("sha256sum </tmp/copy").split()[0], sha256(data))

    guest.run(f"rm /tmp/copy; dd if=/dev/urandom of=/tmp/new bs=1M count={MIB} 2>/dev/null", 120)
    written = guest.run("sha256sum </tmp/new").split()[0]
    demo.step(f"copy {MIB} MiB to the stick", lambda: demo.shell(guest, "cp /tmp/new /mnt/from-guest && sync"), MIB)
    demo.step("unmount", lambda: demo.shell(guest, "umount /mnt"))

    def unplug() -> None:
        stick.unplug()
        guest.wait("[ ! -b /dev/sda ]", 60, "the disk is still there")
        demo.shell(guest, "dmesg | tail -n 1")

    demo.step("unplug it", unplug)
    check("guest to stick", sha256(extract(stick.file, "from-guest")), written)


def main() -> int:
    start = time.monotonic()
    options = Options(images=default_images(), usbbk=paths.TOP / "usbbk.ko", xen_hcd=paths.TOP / "xen-hcd.ko")
    lab = Lab(f"demo-{os.getpid()}")
    demo = Demo(lab)
    # On a machine that has never had a lab, nothing has made it yet.
    paths.LABS.mkdir(parents=True, exist_ok=True)
    with lab, tempfile.TemporaryDirectory(dir=paths.LABS) as workdir:
        demo.step("boot Xen and dom0 in QEMU", lambda: lab.start(options))
        tell(demo, Path(workdir))
        lab.flush_logs()
        findings = lab.trouble()
        for finding in findings:
            print(finding)

    print("\nsummary")
    for title, took, rate in demo.times:
        print(f"  {title:<34} {took:6.1f} s  {rate}")
    print(f"  {'in all':<34} {time.monotonic() - start:6.1f} s")
    if findings:
        print("FAILED: a kernel complained, see above")
        return 1
    print(f"A USB stick of dom0 was used in a guest: {MIB} MiB each way, checksums equal, kernel logs clean.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
