# SPDX-License-Identifier: GPL-2.0
"""Allocations fail under traffic: each failure ends in an error or a retry, nothing hangs, and all works afterwards.

XenStore's requests are allocated too, so some of what a driver writes there fails with them.
Devices are gadgets: vhci_hcd forgets a URB that it has no memory to send, and usbcore then
waits for it in a loop without end.
"""

import time

import pytest

from lab import faults, usbtest
from lab.gadget import SourceSink, Stick
from lab.rogue_backend import Driver
from lab.rogue_frontend import held

TRAFFIC_S = 10
PORTS = (1, 2)


def create(vusb) -> bool:
    """Makes the controller, connected or not; says which."""
    vusb.create()
    ended = f"xenstore-ls {vusb.frontend} {vusb.backend} | grep -q 'state = \"[56]\"'"
    both = f'"$(xenstore-read {vusb.backend}/state) $(xenstore-read {vusb.frontend}/state)"'
    vusb.dom0.try_run(f"for i in {{1..150}}; do [ {both} = '4 4' ] && break; {ended} && break; sleep 0.2; done")
    return vusb.connected


def assert_told(usbback, vusb, devices) -> None:
    """What XenStore says of each port becomes true, although writing it has failed."""
    for port, device in zip(PORTS, devices, strict=True):
        grabbed = any(line.startswith(f"{device.busname}:") for line in usbback.grabbed())
        vusb.wait_port_status(port, "3" if grabbed else "0")


def replug(*devices) -> None:
    for device in devices:
        device.unplug()
        device.wait_absent()
        device.plug()


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("usbbk", "failslab"),
        ("usbbk", "fail_page_alloc"),
        ("xen_hcd", "failslab"),
        # With the first, each module and each kind once.
        pytest.param("xen_hcd", "fail_page_alloc", marks=pytest.mark.each_row),
    ],
)
def test_allocations_fail(lab, guest, usbback, counts, module, kind, record_property):
    dom0 = lab.dom0
    domain = dom0 if module == "usbbk" else guest
    before = held(dom0)
    vusb = usbback.vusb(guest)
    guest.run("modprobe xen-hcd")
    injected, connected = 0, []
    with Stick(dom0, 0, mib=4) as stick, SourceSink(dom0, 1) as source:
        digest = stick.fill()
        vusb.create()
        vusb.wait_connected()
        for port, device in zip(PORTS, (stick, source), strict=True):
            usbback.add(vusb.rule(device.busname, port))
            device.plug()
        vusb.wait_disk(1)
        vusb.wait_device(2)
        reading = guest.job("while :; do for d in /dev/sd?; do dd if=$d of=/dev/null bs=120k iflag=direct; done; sleep 0.1; done >/dev/null 2>&1")
        with Driver(guest, isochronous=False):
            for percent in counts.fault_percents:
                with faults.Faults(domain, module, kind, percent) as fault:
                    time.sleep(TRAFFIC_S)
                    for _ in range(counts.faults):
                        replug(stick, source)
                        time.sleep(TRAFFIC_S / 2)
                        assert "usb-storage" not in stick.drivers().values(), "a device that a rule names is never the host's"
                        vusb.remove_forcibly(5)
                        connected.append(create(vusb))
                        time.sleep(TRAFFIC_S / 2)
                print(f"{fault.injected} allocations failed at {percent} %; connected again: {connected}", flush=True)
                injected += fault.injected
                if connected[-1]:
                    assert_told(usbback, vusb, (stick, source))
                # What failed for good is made again, as an administrator would.
                vusb.remove_forcibly(5)
                vusb.create()
                vusb.wait_connected()
                replug(stick, source)
                vusb.wait_disk(1)
                vusb.wait_device(2)
        reading.kill()
        assert guest.run(f"md5sum </dev/{vusb.wait_disk(1)}", 120) == digest
        assert usbtest.failures(usbtest.run_cases(guest, vusb.usbfs(2), usbtest.CASES, counts.usbtest)) == {}
        guest.wait("! grep -l '^State:.D' /proc/[0-9]*/status", 30, "a task hangs")
        vusb.remove()
        usbback.clear()
    assert injected > 0, "no allocation failed: this was no test"
    record_property(f"{module}, {kind}", f"{injected} failed, {sum(connected)} of {len(connected)} connections made")
    assert held(dom0) == before
    guest.run("rmmod usbtest xen_hcd")
    usbback.unload()
    usbback.load()
