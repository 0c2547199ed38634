# SPDX-License-Identifier: GPL-2.0
"""A guest whose frontend breaks every rule harms nobody but itself.

The guest runs tests/rogue in place of a driver. dom0 must neither complain nor
keep anything, and another guest's stick must stay readable and right all along.
"""

import time

import pytest

from lab.channel import PATIENCE
from lab.counters import backend
from lab.emulated import SerialAdapter
from lab.gadget import Stick
from lab.memory import NoGrowth
from lab.rogue_frontend import BoundedLog, Reader, RogueFrontend, held
from lab.simulated import Zero

# Shares of a run's connections that break no ring, of its requests, and of connections that do.
# Once a ring is broken, its vusb takes few connections a second, and refuses the others unseen.
TRUSTED = {"storms": 0.4, "renegotiate": 0.1}
REQUESTS = {"fields": 0.51, "rewrite": 0.2, "grants": 0.03, "unlinks": 0.2, "suspends": 0.01, "halts": 0.05}
DISTRUSTED = {"nodes": 0.2, "conn": 0.2, "producers": 0.1}


@pytest.fixture
def other(lab):
    """The guest that must not suffer."""
    other = lab.guest(3)
    if not other.alive:
        other.start()
    yield other
    other.destroy()


@pytest.fixture
def rogue(lab, guest, usbback):
    """A hostile guest that has been given a stick."""
    with Stick(lab.dom0, 0, mib=4) as stick:
        rogue = RogueFrontend(usbback, guest, stick)
        rogue.make()
        rogue.give()
        rogue.wait_given()
        yield rogue
        usbback.clear()


FLOODS = 2
# Operations that a guest has had refused before its device is taken, and how long that may take.
CLINGING = 4
BACK_WITHIN_S = 10
# For a while it is watched: operations of the USB core that fail come so far apart.
CLINGING_S = 5
APART_S = 0.5
FOR_EVER = 1 << 40


def plan(counts):
    yield from ((name, int(share * counts.hostile_connections)) for name, share in TRUSTED.items())
    yield from ((name, int(share * counts.hostile_requests)) for name, share in REQUESTS.items())
    yield "events", counts.hostile_events
    yield "states", counts.hostile_connections
    yield from ((name, int(share * counts.hostile_connections)) for name, share in DISTRUSTED.items())


def test_attacks(lab, guest, other, usbback, counts, record_property):
    dom0 = lab.dom0
    before = held(dom0)
    with Stick(dom0, 0, mib=4) as stick, Zero(dom0, 1, speed="high") as zero:
        rogue = RogueFrontend(usbback, guest, stick, zero)
        with Reader(usbback, other, udc=1) as reader:
            assert held(dom0)["rings"] == before["rings"] + 2, "the rings of a connection can be seen"
            rogue.make()
            rogue.give()
            rogue.wait_given()
            rogue.attack("fields", 20, 1)  # what is allocated once is allocated now
            rogue.vusb.remove()
            connections = 0
            with NoGrowth(dom0, counts.hostile_seeds), BoundedLog(lab, guest.domid, stick, zero):
                for seed in range(1, 1 + counts.hostile_seeds):
                    rogue.make()
                    rogue.wait_given()
                    for name, count in plan(counts):
                        reads = reader.reads()
                        connections += rogue.attack(name, count, seed)
                        reader.assert_goes_on(reads)
                    rogue.vusb.remove()
        usbback.clear()
        assert held(dom0) == before
        usbback.unload()
        usbback.load()
    asked = {name: counts.hostile_seeds * count for name, count in plan(counts)}
    record_property("seeds", counts.hostile_seeds)
    record_property("requests", sum(asked[name] for name in REQUESTS))
    record_property("connections", connections)
    record_property("states", asked["states"])
    record_property("events without work", asked["events"])


def test_endpoints_in_use_are_cleared(lab, guest, usbback, counts):
    """xHCI's driver writes a line each time that an endpoint with requests has its halt cleared, EHCI's warns."""
    dom0 = lab.dom0
    with SerialAdapter(dom0, lab.monitor, "xhci") as adapter:
        rogue = RogueFrontend(usbback, guest, adapter)
        rogue.make()
        rogue.give()
        rogue.vusb.wait_port_status(1, "2")
        dom0.run("dmesg -C")
        rogue.attack("halts", 200 + counts.hostile_requests // 50, 1)
        assert "EP not empty, refuse reset" not in dom0.run("dmesg")
        rogue.vusb.remove()
        usbback.clear()


def test_taken_from_one_that_clings(dom0, usbback, rogue):
    """A guest that always has something for the USB core to do does not keep its device."""
    (stick,) = rogue.devices
    clinging, _ = rogue.start("clings", FOR_EVER, 1)
    refused = f"cat {backend(rogue.vusb)}/counters/errors"
    dom0.wait(f"[ $({refused}) -ge {CLINGING} ]", 60, "nothing is refused")
    # What the core may write of each, and udev hear of, is bounded by this.
    before, begin = int(dom0.run(refused)), time.monotonic()
    time.sleep(CLINGING_S)
    assert int(dom0.run(refused)) - before <= 1 + (time.monotonic() - begin) / APART_S
    begin = time.monotonic()
    usbback.remove(rogue.vusb.rule(stick.busname, 1))
    dom0.wait(f"ls -d {stick.sysfs}/*/host*", 60, "usb-storage does not get it")
    assert time.monotonic() - begin < BACK_WITHIN_S * PATIENCE
    # It gives up when it wants to set the device up again.
    assert "NoDevice" in clinging.wait(60).output
    rogue.vusb.remove_forcibly()


def test_vanishing(dom0, rogue):
    """To the backend such a frontend is dead; a vusb made anew works."""
    before = held(dom0)
    for seed in range(3):
        rogue.wait_given()
        rogue.attack("vanish", 5, seed)
        dom0.wait(f"[ ! -e {backend(rogue.vusb)} ]", 30, "the backend keeps the dead")
        assert held(dom0) == before
        rogue.vusb.remove_forcibly()
        rogue.make()
    rogue.wait_given()
    rogue.attack("events", 10, 1)
    rogue.vusb.remove()


def test_unbound_while_its_nodes_go(dom0, rogue):
    """The backend waits for a frontend that does not close, with the device's lock held, for which the kernel's xenwatch waits."""
    flood, _ = rogue.start("events", FOR_EVER, 1)
    state = f"$(xenstore-read {rogue.vusb.backend}/state)"
    dom0.wait(f'[ "{state}" = 4 ]', 60, "it does not connect")
    device = backend(rogue.vusb)
    unbinding = dom0.job(f"echo {device.rpartition('/')[2]} >{device}/driver/unbind")
    dom0.wait(f'[ "{state}" = 5 ]', 30, "it does not ask the frontend to close")
    dom0.run(f"xenstore-rm {rogue.vusb.backend}")
    unbinding.wait(60)
    flood.kill()
    rogue.vusb.remove_forcibly()
    # Others are still heard.
    rogue.make()
    rogue.wait_given()
    rogue.attack("events", 10, 1)
    rogue.vusb.remove()


@pytest.mark.stock_kernel("it measures")
def test_flood_of_events(lab, guest, other, usbback, counts, record_property):
    """Who floods events takes no more from another guest than who just keeps a processor busy."""
    dom0 = lab.dom0
    with Stick(dom0, 0, mib=4) as stick, Reader(usbback, other, udc=1, pause_s=0) as reader:
        rogue = RogueFrontend(usbback, guest, stick)
        spurious = f"cat {backend(rogue.vusb)}/counters/spurious_events"
        alone, busy, flooded, events = 0, 0, 0, 0
        for turn in range(FLOODS):
            alone += read_beside(reader, guest.job("sleep infinity"), counts.flood_s)
            busy += read_beside(reader, guest.job("while :; do :; done"), counts.flood_s)
            rogue.make()
            if turn == 0:
                rogue.give()
            rogue.wait_given()
            flood, _ = rogue.start("events", FOR_EVER, 1)
            flooded += read_beside(reader, flood, counts.flood_s)
            events += int(dom0.run(spurious))
            rogue.vusb.remove_forcibly()
        seconds = FLOODS * counts.flood_s
        said = f"{alone} beside an idle guest, {busy} beside a busy one, {flooded} beside one that floods"
        record_property("readings", f"in {seconds} s: {said}")
        record_property("events without work", events)
        assert events > seconds, "this was no flood"
        assert flooded >= 0.75 * busy


def read_beside(reader, job, seconds: int) -> int:
    """How often a stick was read beside a job of another guest, which is then ended."""
    time.sleep(1)
    before = reader.reads()
    time.sleep(seconds)
    readings = reader.reads() - before
    assert job.running(), job.wait().output
    job.kill()
    return readings
