# SPDX-License-Identifier: GPL-2.0
"""USB Attached SCSI at high speed, which has no streams: many commands at once all the same."""

import hashlib

import pytest

from lab.emulated import UasDisk

WRITERS = 4
BLOCK = 64 << 10
# What is compared is in the guest's memory.
MOST_MIB = 16


@pytest.mark.covers("mass storage (UAS)", "bulk control")
@pytest.mark.stock_cannot("mass storage (UAS)", "it takes no scatter-gather lists, and without them the uas driver leaves a disk alone")
@pytest.mark.parametrize("controller", ["ehci", "xhci"])
def test_disk(lab, guest, vusb, usbback, counts, controller, tmp_path):
    mib = min(counts.fill_mib, MOST_MIB)
    part = (mib << 20) // BLOCK // WRITERS
    with UasDisk(lab.dom0, lab.monitor, controller, tmp_path / "disk", mib=mib) as disk:
        usbback.add(vusb.rule(disk.busname, 1))
        disk.plug()
        name = vusb.wait_disk(1)
        device = vusb.device(1)
        assert vusb.port_status(1) == "3"
        assert guest.run(f"basename $(readlink {device}/*:*/driver)") == "uas\n"
        def side_by_side(source, target, options):
            """Copies each writer's part of the disk on its own, so that the driver has many commands in flight."""
            parts = f"for n in $(seq 0 {WRITERS - 1}); do at=$((n * {part})); dd if={source} of={target} bs={BLOCK} count={part}"
            guest.run(f"{parts} skip=$at seek=$at {options} 2>/tmp/dd.$n || cat /tmp/dd.$n & done; wait", 120)

        guest.run(f"head -c {mib << 20} /dev/urandom >/tmp/data")
        written = guest.run("md5sum </tmp/data").split()[0]
        side_by_side("/tmp/data", f"/dev/{name}", "oflag=direct")
        guest.run("sync; echo 3 >/proc/sys/vm/drop_caches; rm /tmp/data; touch /tmp/data")
        side_by_side(f"/dev/{name}", "/tmp/data", "conv=notrunc iflag=direct")
        assert guest.run("md5sum </tmp/data; rm /tmp/data").split()[0] == written
        assert hashlib.md5(disk.data).hexdigest() == written
