# SPDX-License-Identifier: GPL-2.0
"""What is laid over the images at every boot: scripts and modules under test.

It travels as one more cpio archive behind the initial ramdisks, because an
unchanged image boots at once and a changed module must not cost a new image.
"""

import os
import shutil
import subprocess
from pathlib import Path

from lab import modules, paths, ramdisk
from lab.kernel import KERNEL

HERE = paths.TOP / "tests"


def _modules(root: Path, images: Path, kind: str, **sources: Path | None) -> None:
    """Puts modules under updates/, where modprobe prefers them, and indexes the tree."""
    there = {name.replace("_", "-"): source for name, source in sources.items() if source}
    if not there:
        return
    release = paths.release_of(images, kind)
    tree = root / paths.MODULES / release
    tree.parent.mkdir(parents=True)
    shutil.copytree(images / kind / paths.MODULES / release, tree, copy_function=os.link)
    kept = {path for path in tree.rglob("*.ko")}
    for index in tree.glob("modules.*"):
        # depmod writes in place on some versions; the image's copy is not ours to change.
        if not index.name.startswith(("modules.builtin", "modules.order")):
            index.unlink()
    (tree / "updates").mkdir()
    # Debug information is nine tenths of a module and of no use inside.
    for name, source in there.items():
        subprocess.run(["strip", "--strip-debug", "-o", tree / f"updates/{name}.ko", source], check=True)
    modules.depmod(root, release)
    for path in kept:
        path.unlink()
    (root / "lib").unlink()


def _usbsim() -> Path:
    """The simulator of USB devices; dom0 has the tool root's C library, so it runs there as it is."""
    subprocess.run(["cargo", "build", "--quiet", "--release", "--package", "usbsim"], cwd=paths.TOP, check=True)
    return paths.TOP / "target/release/usbsim"


def _for_guests(package: str) -> Path:
    """A program of ours; linked statically, because a guest's root has few libraries."""
    static = ["--", "-C", "target-feature=+crt-static"]
    subprocess.run(["cargo", "rustc", "--quiet", "--release", "--package", package, *static], cwd=paths.TOP, check=True)
    return paths.TOP / "target/release" / package


def build(images: Path, work: Path, usbbk: Path | None, frontend: Path | None) -> Path:
    """Writes dom0's whole initial ramdisk; returns its path."""
    shutil.rmtree(work, ignore_errors=True)
    guest = work / "guest"
    _modules(guest, images, "guest", xen_hcd=frontend, usbbk=usbbk and KERNEL.for_guests(usbbk))
    _copy(guest / "usr/bin", HERE / "lab/dom0/bin/gadget")
    _copy(guest / "lab", HERE / "guest/setup", HERE / "guest/listen", HERE / "guest/serve")
    _copy(guest, HERE / "guest/init")
    _copy(guest / "etc", HERE / "guest/inittab")
    _copy(guest / "usr/bin", _for_guests("rogue"), _for_guests("storm"))

    initrd = work / "initrd"
    payload = initrd / "payload"
    _modules(payload, images, "dom0", usbbk=usbbk)
    shutil.copytree(HERE / "lab/dom0", payload / "lab/dom0")
    _copy(payload / "lab/dom0/bin", _usbsim(), guest / "usr/bin/rogue")
    _copy(payload / "lab", paths.TOP / "scripts/init_xs.sh")
    _copy(payload / "etc", HERE / "lab/dom0/inittab")
    (payload / "etc/xen").mkdir()
    (payload / "etc/xen/xl.conf").write_text('autoballoon="0"\n')
    _copy(initrd, HERE / "lab/dom0/init")
    ramdisk.archive(guest, payload / "lab/guest-payload.cpio")
    ramdisk.archive(initrd, work / "payload.cpio")
    with (work / "initrd.cpio").open("wb") as whole:
        for part in (images / "initrd.cpio", work / "payload.cpio"):
            whole.write(part.read_bytes())
    for done in (guest, initrd, work / "payload.cpio"):
        shutil.rmtree(done) if done.is_dir() else done.unlink()
    return work / "initrd.cpio"


def _copy(target: Path, *sources: Path) -> None:
    """Copies those of the files that exist; a young tree may still lack a script."""
    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if source.exists():
            shutil.copy(source, target)
