# SPDX-License-Identifier: GPL-2.0
"""One device with two functions: the guest has both, and both work at the same time."""

import pytest

from lab.evdev import EV_KEY, PER_KEY, USAGES, Recorder
from lab.gadget import StickAndKeyboard

MIB = 4


@pytest.mark.covers("composite (mass storage and keyboard)", "bulk interrupt control")
def test_stick_and_keyboard(guest, vusb, usbback, counts):
    dom0 = usbback.dom0
    usages = [list(USAGES)[i % len(USAGES)] for i in range(counts.keys)]
    expected = [(USAGES[usage], value) for usage in usages for value in (1, 0)]
    with StickAndKeyboard(dom0, mib=MIB) as device:
        whole = device.fill()
        usbback.add(vusb.rule(device.busname, 1))
        device.plug()
        disk = vusb.wait_disk(1)
        recorder = Recorder(guest, vusb.device(1))
        assert list(device.drivers().values()) == ["usbback", "usbback"]
        once = f"dd if=/dev/{disk} bs=64k iflag=direct 2>/dev/null | md5sum"
        reader = guest.job(f"rm -f /tmp/enough; until [ -e /tmp/enough ]; do {once}; date >>/tmp/reads; done")
        guest.wait("[ -e /tmp/reads ]", 60, "the disk is not read")
        before = guest.run("wc -l </tmp/reads")
        device.press(*usages)
        recorder.wait(len(expected) * PER_KEY, "fewer key events than keys", 60)
        guest.wait(f"[ $(wc -l </tmp/reads) -gt {before.strip()} ]", 60, "no read ends while keys are pressed")
        guest.run("touch /tmp/enough")
        reads = reader.wait().output.splitlines(keepends=True)
        guest.run("rm /tmp/reads /tmp/enough")
        keys = recorder.events(EV_KEY)
        recorder.stop()
        assert keys == expected
        assert set(reads) == {whole}
        # And the other way: what the guest writes is in the stick.
        written = guest.run(f"head -c {MIB << 20} /dev/urandom | tee /dev/{disk} | md5sum; sync")
        assert device.digest() == written
