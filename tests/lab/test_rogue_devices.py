# SPDX-License-Identifier: GPL-2.0
"""Devices that break rules: first in dom0 without us, then given to a guest. No kernel complains, and good ones work afterwards."""

import time
from collections import Counter

import pytest

from lab import usbtest
from lab.channel import PATIENCE
from lab.simulated import Rogue, Zero, corpus

SPEEDS = ("full", "high", "low")
# Of vhci_hcd's first root hub, by turns: the kernel lets go of one a moment after its device has gone.
PORTS = 15
GUEST_PORT = 1


@pytest.fixture
def rogues(dom0, counts):
    """A sample of the corpus, and devices of which several things are wrong at once."""
    # One that stalls whatever it is asked is refused for certain; a sample of the others may hold none.
    names = ["stall-all", *corpus(dom0)[:: counts.rogue_step]]
    options = [{"name": name} for name in names] + [{"seed": seed} for seed in range(counts.rogue_seeds)]
    return [Rogue(dom0, 1 + at % PORTS, speed=SPEEDS[at % 3], **option) for at, option in enumerate(options)]


def announce(*domains, rogue) -> None:
    for domain in domains:
        domain.run(f"dmesg -C; echo 'lab: rogue {rogue.options}' >/dev/kmsg")


@pytest.mark.stock_kernel("it is without us")
@pytest.mark.full_counts("what a guest is given goes through dom0's core, too")
def test_dom0_alone(dom0, rogues):
    """Each is taken or refused."""
    taken = 0
    for rogue in rogues:
        with rogue:
            announce(dom0, rogue=rogue)
            rogue.plug()
            taken += rogue.wait_settled()
    assert 0 < taken < len(rogues)
    with Zero(dom0) as zero:
        zero.plug().wait_present()


def test_given_to_a_guest(lab, guest, vusb, usbback, rogues, counts, record_property):
    """The backend takes nothing that they say on faith: each is the guest's, to take or to refuse, or neither's."""
    outcomes = Counter()
    for rogue in rogues:
        rule = vusb.rule(rogue.busname, GUEST_PORT)
        with rogue:
            announce(lab.dom0, guest, rogue=rogue)
            usbback.add(rule)
            rogue.plug()
            rogue.wait_settled()
            outcomes[settled(vusb, usbback, rogue)] += 1
        vusb.wait_no_device(GUEST_PORT)
        vusb.wait_port_status(GUEST_PORT, "0")
        usbback.remove(rule)
    record_property("devices", ", ".join(f"{count} {how}" for how, count in outcomes.items()))
    assert outcomes["taken by the guest"] and outcomes["never in the guest"], outcomes
    with Zero(lab.dom0, speed="high") as zero:
        usbback.add(vusb.rule(zero.busname, GUEST_PORT))
        zero.plug()
        vusb.wait_device(GUEST_PORT)
        assert usbtest.failures(usbtest.run_cases(guest, vusb.usbfs(GUEST_PORT), usbtest.CASES, counts.usbtest)) == {}
        usbback.clear()
    vusb.wait_no_device(GUEST_PORT)


def settled(vusb, usbback, rogue) -> str:
    """What has become of a device that dom0's core has taken or given up."""
    if not any(line.startswith(f"{rogue.busname}:") for line in usbback.grabbed()):
        return "never in the guest"
    bus = vusb.bus()
    # What is taken has half a second more, for drivers to find out what it is like.
    taken = f"[ -e /sys/bus/usb/devices/{bus}-{GUEST_PORT}/bNumConfigurations ] && sleep 0.5 && echo taken by the guest"
    refused = f"dmesg | grep -q 'usb{bus}-port{GUEST_PORT}: unable to enumerate USB device' && echo refused by the guest"
    deadline = time.monotonic() + 60 * PATIENCE
    while time.monotonic() < deadline:
        how = vusb.guest.try_run(f"{{ {taken}; }} || {{ {refused}; }}").output.strip()
        if how:
            return how
        if rogue.has_vanished:
            return "vanished"
    raise AssertionError(f"{rogue.options} is neither taken nor refused by the guest")
