# SPDX-License-Identifier: GPL-2.0
"""Memory sticks on the host controllers that real machines have."""

import hashlib

import pytest

from lab.emulated import Disk

USUAL_REQUEST_KIB = "120"
SPEED = {"ehci": "3", "xhci": "3", "uhci": "2"}
# A full speed bus is slow: one kind of guest does for it.
KINDS = [
    ("ehci", "pv", "ours"),
    ("ehci", "pvh", "ours"),
    ("xhci", "pv", "ours"),
    ("xhci", "pvh", "ours"),
    ("uhci", "pv", "ours"),
    ("ehci", "pv", "stock"),
]


def size_mib(counts, controller, frontend):
    """A full speed bus moves a megabyte a second, and the C frontend is no faster."""
    slow = controller == "uhci" or frontend == "stock"
    return max(counts.fill_mib // 6, 4) if slow else counts.fill_mib


@pytest.mark.covers("mass storage (BOT)", "bulk control")
@pytest.mark.parametrize("controller,guest_type,frontend", KINDS, scope="module")
def test_filesystem(lab, guest, vusb, usbback, counts, controller, frontend, tmp_path):
    """mkfs, fill, sync, unmount, fsck, and both sides see the same bytes."""
    fill = size_mib(counts, controller, frontend)
    with Disk(lab.dom0, lab.monitor, controller, tmp_path / "disk", mib=fill + fill // 2 + 4) as disk:
        usbback.add(vusb.rule(disk.busname, 1))
        disk.plug()
        name = vusb.wait_disk(1)
        assert vusb.port_status(1) == SPEED[controller]
        assert guest.run(f"cat /sys/block/{name}/queue/max_sectors_kb").strip() == str(vusb.request_kib or USUAL_REQUEST_KIB)
        guest.run(f"mkfs.ext4 -q -F /dev/{name} && mount -t ext4 /dev/{name} /mnt", 300)
        written = guest.run(f"dd if=/dev/urandom of=/mnt/data bs=1M count={fill} 2>/dev/null && sync && md5sum </mnt/data", 600)
        guest.run(f"umount /mnt && e2fsck -fn /dev/{name}", 600)
        guest.run(f"echo 3 >/proc/sys/vm/drop_caches && mount -t ext4 -o ro /dev/{name} /mnt")
        assert guest.run("md5sum </mnt/data && umount /mnt", 600) == written
        inside = guest.run(f"echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/{name}", 600).split()[0]
        assert inside == hashlib.md5(disk.data).hexdigest()


def test_vfat_on_a_partition_table_free_stick(lab, guest, vusb, usbback, tmp_path):
    """What sticks are sold with."""
    with Disk(lab.dom0, lab.monitor, "ehci", tmp_path / "disk", mib=8) as disk:
        usbback.add(vusb.rule(disk.busname, 1))
        disk.plug()
        name = vusb.wait_disk(1)
        guest.run(f"mkfs.fat /dev/{name} && mount -t vfat /dev/{name} /mnt && echo hello >/mnt/hello && umount /mnt", 120)
        guest.run(f"fsck.fat -n /dev/{name}", 120)
        assert b"hello\n" in disk.data


def test_superspeed_is_refused(lab, vusb, usbback, tmp_path):
    """The wire has no SuperSpeed: the device stays with the host, and the log says what to do."""
    dom0 = lab.dom0
    with Disk(dom0, lab.monitor, "xhci3", tmp_path / "disk", mib=4) as disk:
        usbback.add(vusb.rule(disk.busname, 1))
        dom0.run("dmesg -C")
        disk.plug().wait_present()
        assert dom0.run(f"cat {disk.sysfs}/speed") == "5000\n"
        message = dom0.wait(f"dmesg | grep 'usb {disk.busname}: not for a guest: .*use a USB 2 port'", 30, "no message names the way out")
        assert message
        dom0.wait(f"[ \"$(basename $(readlink {disk.sysfs}/*:1.0/driver))\" = usb-storage ]", 30, "the host does not keep it")
        assert usbback.grabbed() == []
        assert vusb.port_status(1) == "0"
