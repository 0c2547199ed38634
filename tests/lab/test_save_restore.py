# SPDX-License-Identifier: GPL-2.0
"""A guest is saved and restored while it writes to a stick: the device is there again, and nothing is lost."""

import pytest

from lab.gadget import Stick
from lab.kernel import KERNEL
from lab.test_unplug import busy
from lab.test_xl import wait_host_driver
from lab.xl import Xl, host_address

LINES = 60
IMAGE = "/var/tmp/saved"


@pytest.fixture
def stick(dom0):
    with Stick(dom0, mib=16) as stick:
        stick.plug().wait_present()
        wait_host_driver(stick)
        yield stick


@pytest.fixture
def guest(lab, usbback, stick):
    """Small, because its memory goes to dom0's disk; its stick is in its configuration, which is saved with it."""
    bus, address = host_address(stick)
    guest = lab.guest(3)
    guest.start(
        frontend="ours",
        memory=KERNEL.small_guest,
        config=f'usbctrl = ["type=pv,version=2,ports=4"]\nusbdev = ["hostbus={bus},hostaddr={address},controller=0,port=1"]',
    )
    yield guest
    guest.destroy()
    lab.dom0.run(f"rm -f {IMAGE}")


@pytest.mark.covers("mass storage (BOT)", "bulk control", domain="PV guest, saved and restored")
@pytest.mark.stock_cannot("save and restore", "it has no resume, and leaves what was on the old rings there")
@pytest.mark.parametrize("how", ["checkpoint", "restore"])
def test_a_mounted_filesystem_goes_on(guest, usbback, stick, how):
    vusb = usbback.vusb(guest)
    vusb.wait_connected()
    disk = vusb.wait_disk(1)
    device = vusb.device(1)
    number = guest.run(f"cat {device}/devnum")
    guest.run(f"mkfs.ext4 -q /dev/{disk} && mount -t ext4 /dev/{disk} /mnt", 120)
    writer = guest.job(f"i=0; while [ $i -lt {LINES} ]; do echo line $i >>/mnt/log || exit 1; sync -f /mnt/log || exit 2; i=$((i + 1)); done")
    guest.wait("[ $(wc -l </mnt/log) -gt 10 ]", 60, "the writer does not get on")
    if how == "checkpoint":
        guest.checkpoint(IMAGE)
    else:
        guest.save(IMAGE)
        guest.restore(IMAGE)
        # libxl restores the controller of the configuration, but not what is on it.
        Xl(usbback.dom0, guest).attach(stick)
        guest.resume()
    assert writer.wait(300).status == 0
    assert guest.run("cat /mnt/log").splitlines() == [f"line {i}" for i in range(LINES)]
    assert guest.run(f"cat {device}/devnum") == number, "the device was plugged in anew"
    guest.run(f"umount /mnt && e2fsck -fn /dev/{disk}", 120)


@pytest.mark.parametrize(
    "options",
    [pytest.param(None, id="none"), pytest.param("--ports 4", id="another", marks=pytest.mark.full_counts("it ends as the other does"))],
)
def test_restored_without_its_nodes(lab, usbback, options):
    """A controller of the script is not made again, or is another one: its devices are gone, nothing waits for them, and a new one works."""
    guest = lab.guest(3)
    guest.start(frontend="ours", memory=KERNEL.small_guest)
    vusb = usbback.vusb(guest)
    vusb.create()
    vusb.wait_connected()
    with Stick(lab.dom0, mib=4) as stick:
        digest = stick.fill()
        usbback.add(vusb.rule(stick.busname, 1))
        stick.plug()
        reader = busy(guest, vusb.wait_disk(1))
        guest.save(IMAGE)
        guest.restore(IMAGE)
        vusb = usbback.vusb(guest)
        if options:
            vusb.create(options)
        guest.resume()
        reader.wait(10)
        guest.wait("! ls /sys/block | grep sd", 10, "the disk stays")
        stick.unplug()
        stick.wait_absent()
        # The old domain's: the port is kept until somebody says for whom.
        usbback.clear()
        if options:
            guest.wait("dmesg | grep 'its backend wants another controller'", 10, "it does not say why")
            vusb.remove_forcibly()
        vusb.create()
        vusb.wait_connected()
        usbback.add(vusb.rule(stick.busname, 1))
        stick.plug()
        assert guest.run(f"md5sum </dev/{vusb.wait_disk(1)}", 120) == digest
        usbback.clear()
    guest.destroy()
    lab.dom0.run(f"rm -f {IMAGE}")
