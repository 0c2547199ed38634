# SPDX-License-Identifier: GPL-2.0
"""A backend that breaks every rule harms none of the guest but its own controller.

dom0 runs tests/rogue in place of a driver. The guest must neither complain nor keep
anything, and another controller of the same guest, with a stick that our own backend
serves, must stay readable and right all along.
"""

import math
import time

import pytest

from lab.channel import PATIENCE
from lab.memory import NoGrowth
from lab.rogue_backend import BoundedLog, Driver, MappedReader, RogueBackend
from lab.rogue_frontend import Reader

# Shares of a run's responses and connections. Most rounds of the smaller ones end
# their connection, which costs as much as hundreds of answers.
RESPONSES = {"answers": 0.958, "packets": 0.01, "mappings": 0.03, "rewrites": 0.002}
# A backend's process has died.
AT_ONCE_S = 5
# A process waits in the kernel, and is not to be disturbed, for seconds.
STUCK = (
    'stuck() { grep -ls "^State:.D" /proc/[0-9]*/status | xargs -r grep -l "^Name:.testusb"; };'
    ' before=$(stuck); [ "$before" ] && sleep 3 && [ "$before" = "$(stuck)" ]'
)
# A short run has so many of each.
FEW = 4
CONNECTIONS = {
    "lies": 0.3,
    "indices": 0.15,
    "ports": 0.15,
    "nodes": 0.1,
    "silence": 0.1,
    "deaths": 0.15,
    "keeps": 0.05,
    "restarts": 0.03,
    "late": 0.05,
}


def plan(counts):
    yield from ((name, max(FEW, math.ceil(share * counts.lying_responses))) for name, share in RESPONSES.items())
    yield from ((name, math.ceil(share * counts.lying_connections)) for name, share in CONNECTIONS.items())
    yield "storms", counts.lying_responses // 10
    yield "states", 2 * counts.lying_connections


def assert_serves(usbback, guest) -> None:
    """Our own backend is served, on the number that was the rogue's."""
    with Reader(usbback, guest, udc=1) as reader:
        reader.assert_goes_on(0)


def test_attacks(lab, guest, usbback, counts, record_property):
    rogue = RogueBackend(lab.dom0, guest)
    with Reader(usbback, guest, udc=0, number=1) as reader:
        with Driver(guest):
            rogue.attack("answers", 50, 1)  # what is allocated once is allocated now
            with NoGrowth(guest, counts.hostile_seeds), BoundedLog(lab, guest) as log:
                for seed in range(1, 1 + counts.hostile_seeds):
                    reads = reader.reads()
                    for name, count in plan(counts):
                        log.connections += rogue.attack(name, count, seed)
                        assert reader.reads() >= reads
                    reader.assert_goes_on(reads)
            # A process that is killed in the middle of it.
            job = rogue.start("answers", 1 << 30, 1)
            lab.dom0.wait(f"[ $(xenstore-read {rogue.state}) = 4 ] && sleep 2", 60, "the rogue does not connect")
            job.kill()
            rogue.remove()
        assert_serves(usbback, guest)
    guest.run("rmmod usbtest xen_hcd")
    assert_serves(usbback, guest)
    record_property("seeds", counts.hostile_seeds)
    record_property("responses", counts.hostile_seeds * sum(count for name, count in plan(counts) if name in RESPONSES))
    record_property("connections", log.connections)


# The guest's kernel says so, too, once for each connection that ends with it.
@pytest.mark.expect_log("grant_table: WARNING: g.e. 0x[0-9a-f]+ still in use!")
@pytest.mark.parametrize("trusted", [1, 0])
def test_a_page_stays_mapped(lab, guest, usbback, counts, trusted):
    """A page of a driver's that its backend does not let go of costs the backend its frontend, and nobody else anything.

    A frontend that does not trust its backend grants none, and does not mind.
    """
    guest.run(f"modprobe -rq xen-hcd; modprobe xen-hcd trusted={trusted}")
    rogue = RogueBackend(lab.dom0, guest)
    given_up = "dmesg | grep -c 'vusb-0: .* page still mapped after its answer' || true"
    with Reader(usbback, guest, udc=0, number=1) as reader:
        with MappedReader(guest):
            before = int(guest.run(given_up))
            reads = reader.reads()
            with BoundedLog(lab, guest) as log:
                log.connections += rogue.attack("mappings", counts.kept_pages, 1)
            found = int(guest.run(given_up)) - before
            reader.assert_goes_on(reads)
            rogue.remove()
        print(f"{found} of {log.connections} connections ended with a page that stayed mapped")
        assert (found > 0) == bool(trusted)
    guest.run("rmmod xen_hcd")
    assert_serves(usbback, guest)


def test_silence(lab, guest, usbback):
    """A backend that says nothing and stays: the frontend gives up by itself, and unbinding it ends, too."""
    guest.run("modprobe xen-hcd")
    given_up, unbound = RogueBackend(lab.dom0, guest, 2), RogueBackend(lab.dom0, guest, 3)
    with Driver(guest):
        jobs = [rogue.start("mute", 1, 1) for rogue in (given_up, unbound)]
        lab.dom0.wait(f"[ $(xenstore-read {unbound.state}) = 4 ] && sleep 10", 60, "the rogue does not connect")
        start = time.monotonic()
        unbound.unbind(180)
        print(f"unbound after {time.monotonic() - start:.1f} s")
        jobs[1].kill()
        unbound.remove()
        given_up.survived(jobs[0], 240)
    given_up.remove()
    guest.run("rmmod usbtest xen_hcd")
    assert_serves(usbback, guest)


@pytest.mark.parametrize(
    "alive",
    [pytest.param(False, id="dead"), pytest.param(True, id="alive", marks=pytest.mark.full_counts("it takes a minute to give up"))],
)
def test_taken_away_while_a_device_is_locked(lab, guest, usbback, alive):
    """A driver that waits for a transfer without a limit, with the device locked, does not keep its controller for ever."""
    guest.run("modprobe xen-hcd")
    rogue = RogueBackend(lab.dom0, guest)
    with Driver(guest):
        job = rogue.start("withholds", 1, 1)
        guest.wait(STUCK, 60, "no isochronous transfer is waited for")
        if not alive:
            job.kill()
        start = time.monotonic()
        rogue.unbind(90)
        took = time.monotonic() - start
        print(f"unbound after {took:.1f} s")
        assert alive or took < AT_ONCE_S * PATIENCE
        job.kill()
        rogue.remove()
    guest.run("rmmod usbtest xen_hcd")
    assert_serves(usbback, guest)
