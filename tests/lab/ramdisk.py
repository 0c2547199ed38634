# SPDX-License-Identifier: GPL-2.0
"""Small roots for initial ramdisks: busybox, chosen programs, a cpio archive."""

import re
import shutil
import subprocess
from pathlib import Path


def skeleton(root: Path, busybox: Path) -> None:
    """Directories and busybox with a link for each of its programs."""
    for name in ("dev", "etc", "lab", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    shutil.copy(busybox, root / "usr/bin/busybox")
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        link = root / "usr/bin" / applet
        if not link.exists():
            link.symlink_to("busybox")


def copy_programs(root: Path, source: Path, programs: list[str]) -> None:
    """Copies programs from another root, with the libraries that ldd names there."""
    for program in programs:
        inside = Path(program).relative_to("/")
        target = root / inside
        for clash in (target, root / "usr/bin" / target.name):
            clash.unlink(missing_ok=True)
        shutil.copy(source / inside, target)
        needs = subprocess.run(["chroot", source, "ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", needs):
            inside = (source / library.lstrip("/")).resolve().relative_to(source.resolve())
            wanted = root / "usr" / library.lstrip("/").removeprefix("usr/")
            wanted.parent.mkdir(parents=True, exist_ok=True)
            if not wanted.exists():
                shutil.copy(source / inside, wanted)


def archive(root: Path, cpio: Path) -> None:
    """Uncompressed on purpose; owned by root whoever made it."""
    with cpio.open("wb") as out:
        find = subprocess.Popen(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE)
        subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--quiet", "--owner=0:0"],
            cwd=root, stdin=find.stdout, stdout=out, check=True,
        )  # fmt: skip
        if find.wait():
            raise OSError(f"find failed in {root}")
