# SPDX-License-Identifier: GPL-2.0
"""Makes the lab's images from Debian packages, and keeps them.

Nothing that a developer changes goes in here: modules under test and init
scripts are added at every boot (payload.py), so one image serves many builds.
Kernels and modules are stored uncompressed, because decompressing them is what
an emulated processor is worst at.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab import modules, paths, ramdisk

SUITE = "trixie"
DOM0_PACKAGES = [
    "alsa-utils",
    "busybox-static",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "procps",
    "python3-minimal",
    "socat",
    "strace",
    "udev",
    "usbutils",
    "v4l-utils",
    "xenstore-utils",
]
# QEMU: the device model of HVM guests, and the other backend there is. The newest that a host
# with this kernel has; what test_qemu_backend.py says of it was seen with 11.1.3.
BACKPORTS = ["qemu-system-data", "qemu-system-xen"]
# Modules by path; what they depend on comes along.
DOM0_MODULES = [
    r"drivers/usb/.*",
    r"drivers/xen/.*",
    r"drivers/hid/(usbhid/)?(usbhid|hid|hid-generic)",
    r"drivers/input/(evdev|mousedev)",
    r"drivers/block/(loop|virtio_blk|xen-blkback/.*|zram/.*)",
    r"drivers/net/xen-netback/.*",
    r"drivers/net/usb/.*",
    r"drivers/scsi/(sd_mod|sg)",
    r"drivers/media/usb/uvc/.*",
    r"sound/usb/snd-usb-audio",
    r"fs/(ext4|fat|configfs|nls|isofs)/.*",
]
GUEST_MODULES = [
    r"drivers/usb/host/xen-hcd",
    r"drivers/usb/gadget/(libcomposite|function/usb_f_(mass_storage|ss_lb)|udc/dummy_hcd)",
    r"drivers/usb/storage/(usb-storage|uas)",
    r"drivers/usb/misc/usbtest",
    r"drivers/usb/class/cdc-acm",
    r"drivers/usb/serial/(ftdi_sio|generic|usbserial|pl2303)",
    r"drivers/usb/mon/usbmon",
    r"drivers/hid/(usbhid/)?(usbhid|hid-generic)",
    r"drivers/input/evdev",
    r"drivers/misc/lkdtm/lkdtm",
    r"drivers/net/xen-netfront",
    r"drivers/net/usb/(cdc_ether|cdc_ncm|cdc_subset|usbnet)",
    r"drivers/media/usb/uvc/uvcvideo",
    r"drivers/xen/(xen-evtchn|xen-gntdev|xen-gntalloc|xenfs/.*)",
    r"drivers/scsi/sd_mod",
    r"sound/usb/snd-usb-audio",
    r"fs/(ext4/ext4|fat/vfat|fat/fat|nls/nls_(ascii|cp437|iso8859-1))",
]
INITRD_MODULES = [r"drivers/block/virtio_blk", r"fs/ext4/ext4"]
GUEST_PROGRAMS = [
    "/usr/bin/aplay",
    "/usr/bin/arecord",
    "/usr/bin/bash",
    "/usr/bin/dash",
    "/usr/bin/dd",
    "/usr/bin/kmod",
    "/usr/bin/lsusb",
    "/usr/bin/timeout",
    "/usr/bin/v4l2-ctl",
    "/usr/bin/xenstore-ls",
    "/usr/bin/xenstore-read",
    "/usr/bin/xenstore-write",
    "/usr/sbin/blockdev",
    "/usr/sbin/e2fsck",
    "/usr/sbin/mke2fs",
    "/usr/sbin/fsck.fat",
    "/usr/sbin/mkfs.fat",
]
DISK_MIB = 2048


class ImageError(Exception):
    """What the person who started the build has to know."""


def say(text: str) -> None:
    print(f"lab-image: {text}", file=sys.stderr, flush=True)


def run(*argv: object, **kwargs: object) -> str:
    """Runs a command; its output belongs to the error if it fails."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **kwargs)
    if done.returncode:
        raise ImageError(f"{' '.join(words)[:200]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def kernel_tree() -> Path:
    """What the kernel was built from; a tree that we built ourselves still holds its vmlinux."""
    return Path(os.environ["PVUSB_KERNEL_TREE"])


def guest_tree() -> Path | None:
    """What the guests' kernel was built from, where they have one of their own."""
    tree = os.environ.get("PVUSB_GUEST_TREE")
    return Path(tree) if tree else None


def key(release: str, hypervisor: str) -> str:
    """Images are good as long as nothing that they are made of changes."""
    trees = " ".join(tree.name for tree in (kernel_tree(), guest_tree()) if tree)
    made_of = hashlib.sha256(f"{SUITE} {release} {trees} {hypervisor}".encode())
    for source in (__file__, modules.__file__, ramdisk.__file__):
        made_of.update(Path(source).read_bytes())
    return made_of.hexdigest()[:12]


def newest_hypervisor() -> str:
    """The version part of Debian's newest Xen, such as 4.20."""
    names = run("apt-cache", "pkgnames", "xen-hypervisor-").split()
    versions = [m[1] for n in names if (m := re.fullmatch(r"xen-hypervisor-([\d.]+)-amd64", n))]
    if not versions:
        raise ImageError("no xen-hypervisor-*-amd64 package known; run apt-get update in the tool root")
    return max(versions, key=lambda version: [int(part) for part in version.split(".")])


def fetch_kernel(release: str, work: Path) -> Path:
    """Unpacks the kernel's packages; nothing in dom0 needs them installed."""
    depends = run("apt-cache", "depends", f"linux-image-{release}")
    names = set(re.findall(rf"Depends: (linux-\w+-{re.escape(release)})\n", depends))
    packages = sorted(names | {f"linux-image-{release}"})
    say(f"fetching {', '.join(packages)}")
    download = work / "debs"
    download.mkdir()
    run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=download)
    tree = work / "kernel"
    for deb in download.glob("*.deb"):
        run("dpkg-deb", "-x", deb, tree)
    if (tree / "lib").is_dir():
        shutil.copytree(tree / "lib", tree / "usr/lib", dirs_exist_ok=True)
    modules.depmod(tree, release)
    return tree


def dom0_root(xen: str) -> Path:
    """dom0's root without a kernel; kept, for both kernels want the same one."""
    made_of = hashlib.sha256(" ".join([SUITE, xen, *DOM0_PACKAGES, *BACKPORTS]).encode()).hexdigest()
    root = paths.CACHE / f"dom0-{xen}-{made_of[:12]}"
    if not root.exists():
        new = root.with_name(f"{root.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        make_dom0_root(new, xen)
        new.rename(root)
    return root


def make_dom0_root(root: Path, xen: str) -> None:
    say(f"making dom0's root: Debian {SUITE}, Xen {xen} (one to three minutes)")
    newer = [f"{package}/{SUITE}-backports" for package in BACKPORTS]
    include = ",".join([*DOM0_PACKAGES, f"xen-hypervisor-{xen}-amd64", f"xen-utils-{xen}", *newer])
    mirror = os.environ["PVUSB_MIRROR"]
    run(
        "mmdebstrap", "--variant=minbase", f"--include={include}",
        '--aptopt=Apt::Install-Recommends "false"', '--aptopt=Acquire::Retries "5"',
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        SUITE, root, *(f"deb {mirror} {suite} main" for suite in (SUITE, f"{SUITE}-updates", f"{SUITE}-backports")),
    )  # fmt: skip
    (root / "etc/hostname").write_text("dom0\n")
    for name in ("lab", "proc/xen"):
        (root / name).mkdir(parents=True, exist_ok=True)


def built_release(tree: Path) -> str:
    """The release of a kernel that was built here."""
    return (tree / ".prepared").read_text().strip()


def install_kernel(tree: Path, kernel: Path) -> Path:
    """Lays out a tree that was built here as the packages would have it."""
    release = built_release(tree)
    words = ["ARCH=x86", "CC=clang", f"KERNELRELEASE={release}", f"INSTALL_MOD_PATH={kernel}/usr"]
    run("make", "-C", tree, *words, "DEPMOD=true", "modules_install")
    modules.depmod(kernel, release)
    return kernel


def packed_kernel(kernel: Path, release: str) -> Path:
    """Debian has moved the kernel's own file in the past; both places are looked at."""
    for place in (kernel / paths.MODULES / release / "vmlinuz", kernel / f"boot/vmlinuz-{release}"):
        if place.exists():
            return place
    raise ImageError(f"the packages of {release} hold no kernel")


def unpack_vmlinux(packed: Path, plain: Path) -> None:
    """The ELF inside bzImage: neither Xen nor xl then has to unpack it under emulation."""
    extract = kernel_tree() / "scripts/extract-vmlinux"
    with plain.open("wb") as out:
        done = subprocess.run([extract, packed], stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode or plain.stat().st_size == 0:
        raise ImageError(f"cannot extract vmlinux from {packed}: {done.stderr.decode()}")


def make_guest_root(guest: Path, dom0: Path, kernel: Path, release: str) -> None:
    say("making the guests' base ramdisk")
    ramdisk.skeleton(guest, Path("/usr/bin/busybox"))
    ramdisk.copy_programs(guest, dom0, GUEST_PROGRAMS)
    # busybox's own shell runs its applets in place of programs of the same name.
    (guest / "usr/bin/sh").unlink()
    (guest / "usr/bin/sh").symlink_to("dash")
    for name in ("modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod"):
        (guest / "usr/sbin" / name).unlink(missing_ok=True)
        (guest / "usr/bin" / name).unlink(missing_ok=True)
        (guest / "usr/sbin" / name).symlink_to("../bin/kmod")
    (guest / "usr/sbin/mkfs.ext4").symlink_to("mke2fs")
    shutil.copy(dom0 / "etc/mke2fs.conf", guest / "etc")
    shutil.copytree(dom0 / "usr/share/alsa", guest / "usr/share/alsa")
    source = kernel_tree() / "tools/usb/testusb.c"
    run("gcc-14", "-O2", "-Wall", "-static", "-pthread", "-o", guest / "usr/bin/testusb", source)
    shutil.copy(guest / "usr/bin/testusb", dom0 / "usr/bin")
    modules.install(kernel, guest, release, GUEST_MODULES)
    # Kept out of modprobe's sight: a test says which of the two frontends it wants.
    tree = guest / paths.MODULES / release / "kernel"
    (guest / "lab/stock").mkdir(parents=True)
    (tree / "drivers/usb/host/xen-hcd.ko").rename(guest / "lab/stock/xen-hcd.ko")
    modules.depmod(guest, release)


def make_initrd(initrd: Path, kernel: Path, release: str) -> None:
    ramdisk.skeleton(initrd, Path("/usr/bin/busybox"))
    modules.install(kernel, initrd, release, INITRD_MODULES)


def make_disk(root: Path, disk: Path) -> None:
    say("writing dom0's disk")
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", root, disk, f"{DISK_MIB}M")


def build(release: str, xen: str, out: Path) -> None:
    work = out.with_suffix(".work")
    for stale in (work, out.with_suffix(".new")):
        shutil.rmtree(stale, ignore_errors=True)
    new = out.with_suffix(".new")
    new.mkdir(parents=True)
    work.mkdir()
    built = kernel_tree() / "vmlinux"
    kernel = install_kernel(built.parent, work / "kernel") if built.exists() else fetch_kernel(release, work)
    dom0, guest, initrd = work / "dom0", work / "guest", work / "initrd"
    run("cp", "-a", "--reflink=auto", dom0_root(xen), dom0)
    modules.install(kernel, dom0, release, DOM0_MODULES)
    if built.exists():
        shutil.copy(built, new / "vmlinux")
    else:
        packed = packed_kernel(kernel, release)
        unpack_vmlinux(packed, new / "vmlinux")
        shutil.copy(packed, dom0 / "lab/vmlinuz")
    run("strip", "--strip-debug", new / "vmlinux")
    shutil.copy(new / "vmlinux", dom0 / "lab/vmlinux")
    guest_kernel, guest_release = kernel, release
    if own := guest_tree():
        guest_kernel, guest_release = install_kernel(own, work / "guest-kernel"), built_release(own)
        run("strip", "--strip-debug", "-o", dom0 / "lab/vmlinux", own / "vmlinux")
    make_guest_root(guest, dom0, guest_kernel, guest_release)
    ramdisk.archive(guest, dom0 / "lab/guest.cpio")
    make_initrd(initrd, kernel, release)
    ramdisk.archive(initrd, new / "initrd.cpio")
    with (new / "xen.elf").open("wb") as elf:
        packed = next((dom0 / "boot").glob("xen-*-amd64.gz"))
        subprocess.run(["zcat", packed], stdout=elf, check=True)
    make_disk(dom0, new / "dom0.ext4")
    # The payload re-runs depmod against these when a module under test joins them.
    for name, tree, its in (("dom0", dom0, release), ("guest", guest, guest_release)):
        shutil.copytree(tree / paths.MODULES / its, new / name / paths.MODULES / its)
    (new / "release").write_text(release + "\n")
    (new / "guest-release").write_text(guest_release + "\n")
    (new / "xen-version").write_text(xen + "\n")
    new.rename(out)
    shutil.rmtree(work)


def ensure() -> Path:
    """The images' directory, made if it is missing."""
    release = os.environ["PVUSB_RELEASE"]
    xen = newest_hypervisor()
    out = paths.CACHE / f"lab-{release}-{key(release, xen)}"
    with (paths.CACHE / ".lab.lock").open("w") as lock:
        # Two callers at once must not build the same images twice.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            start = time.monotonic()
            build(release, xen, out)
            say(f"done in {time.monotonic() - start:.0f} s")
    return out


if __name__ == "__main__":
    try:
        print(ensure())
    except ImageError as error:
        say(str(error))
        sys.exit(1)
