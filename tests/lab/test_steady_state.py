# SPDX-License-Identifier: GPL-2.0
"""Moving data allocates nothing and sets no timer of ours, in neither half.

Both kernels count who allocates, by call chain. The host controllers below the
backend and the class drivers above the frontend allocate for each URB, and are
not meant: an allocation is ours when our module is the first one on the chain.
"""

import pytest

from lab.counters import grown, halves
from lab.gadget import Stick
from lab.simulated import Echo
from lab.tracing import Watch

pytestmark = pytest.mark.stock_kernel("it measures")

MIB = 16
URBS = 500
ALLOCATIONS = ("kmem/kmalloc", "kmem/kmem_cache_alloc", "kmem/mm_page_alloc", "percpu/percpu_alloc_percpu", "vmalloc/alloc_vmap_area")
TIMERS = ("timer/timer_start", "timer/hrtimer_start")
SCHEDULER = {"try_to_wake_up", "__schedule"}
OURS = ("usbbk", "xen_hcd")


def ours(chains):
    return [chain for chain in chains if chain.cause() in OURS]


def our_timers(chains):
    """Without those that the scheduler sets for itself when we wake a thread up, or sleep."""
    return [chain for chain in ours(chains) if not SCHEDULER & {function for function, _ in chain.frames}]


def read_all(guest, disk):
    guest.run(f"dd if=/dev/{disk} of=/dev/null bs=64k iflag=direct 2>/dev/null", 300)


@pytest.fixture
def disk(vusb, usbback):
    """A stick on port 1, read once: what is allocated the first time has been."""
    with Stick(usbback.dom0, mib=MIB) as stick:
        usbback.add(vusb.rule(stick.busname, 1))
        stick.plug()
        disk = vusb.wait_disk(1)
        read_all(vusb.guest, disk)
        yield disk


def test_no_allocation_for_a_urb(guest, vusb, disk, record_property):
    dom0 = vusb.dom0
    before = halves(vusb)
    with Watch(dom0, *ALLOCATIONS) as host, Watch(guest, *ALLOCATIONS) as inside:
        read_all(guest, disk)
        counted = [host.chains(), inside.chains()]
    for half in grown(before, halves(vusb)):
        assert half["completed"] >= URBS
    record_property("URBs read", half["completed"])
    assert [str(chain) for chains in counted for chain in ours(chains)] == []
    # The host controller's driver is below us and allocates for each: such a chain is seen, and is not ours.
    below = [chain for chain in counted[0] if chain.hits >= URBS / 2 and any(module == "usbbk" for _, module in chain.frames)]
    assert below, "no chain leads through the backend"


def test_allocations_of_ours_are_seen(guest, usbback):
    """What the test above would miss if it saw nothing: making a connection allocates, in both halves."""
    vusb = usbback.vusb(guest)
    guest.run("modprobe xen-hcd")
    with Watch(usbback.dom0, *ALLOCATIONS) as host, Watch(guest, *ALLOCATIONS) as inside:
        vusb.create()
        vusb.wait_connected()
        seen = {module: ours(watch.chains()) for watch, module in ((host, "usbbk"), (inside, "xen_hcd"))}
    vusb.remove()
    for module, chains in seen.items():
        mine = [chain for chain in chains if chain.cause() == module]
        # Small things and whole pages: the rings, and the memory of sixteen URBs.
        events = {chain.event for chain in mine}
        assert {"kmem/kmalloc", "kmem/mm_page_alloc"} <= events, (module, events)
        assert sum(chain.hits for chain in mine if chain.event == "kmem/mm_page_alloc") >= 16


def test_no_timer_while_data_moves(guest, vusb, disk):
    dom0 = vusb.dom0
    with Watch(dom0, *TIMERS) as host, Watch(guest, *TIMERS) as inside:
        read_all(guest, disk)
        found = our_timers(host.chains() + inside.chains())
    assert [str(chain) for chain in found] == []


def test_a_timer_of_ours_is_seen(guest, vusb, usbback):
    """A watchdog runs while an unlink has no answer."""
    with Echo(usbback.dom0) as echo, Watch(guest, *TIMERS) as inside:
        usbback.add(vusb.rule(echo.busname, 1))
        echo.plug()
        vusb.wait_device(1)
        guest.run(f"storm --pairs 100 {vusb.usbfs(1)}")
        assert our_timers(inside.chains()), "the watchdog's is not seen"
