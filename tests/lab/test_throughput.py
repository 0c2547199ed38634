# SPDX-License-Identifier: GPL-2.0
"""A sequential read in the guest beside the same read in dom0, in one run."""

from lab.gadget import Stick

MIB = 64
# What we want. Under emulation it is met in some runs only: a request costs two
# wake-ups of idle virtual processors more than in dom0, some 0.2 ms each there.
AIM = 2.0
# What means that something has become slow.
ALLOWED = 4.0
TRIES = 3


def best_seconds(domain, disk):
    """The best of a few reads: what the machine can do when nobody disturbs it."""
    clock = "cut -d' ' -f1 /proc/uptime"
    times = []
    for _ in range(TRIES):
        output = domain.run(
            f"echo 3 >/proc/sys/vm/drop_caches; {clock}; dd if=/dev/{disk} of=/dev/null bs=1M count={MIB} 2>/dev/null; {clock}", 600
        )
        begin, end = map(float, output.split())
        times.append(end - begin)
    return min(times)


def test_sequential_read(guest, vusb, usbback, record_property):
    dom0 = usbback.dom0
    with Stick(dom0, mib=MIB) as stick:
        stick.fill()
        stick.plug().wait_present()
        found = f"d=$(ls -d {stick.sysfs}/*/host*/target*/*/block/*) && [ \"$(cat $d/size)\" -gt 0 ] && echo ${{d##*/}}"
        alone = best_seconds(dom0, dom0.wait(found, 60))
        stick.unplug()
        stick.wait_absent()
        usbback.add(vusb.rule(stick.busname, 1))
        stick.plug()
        through_us = best_seconds(guest, vusb.wait_disk(1))
    ratio = through_us / alone
    text = f"{MIB} MiB: dom0 {alone:.2f} s, guest {through_us:.2f} s, ratio {ratio:.2f}, aim {AIM}"
    record_property("throughput", text)
    print(text)
    assert ratio <= ALLOWED, text
