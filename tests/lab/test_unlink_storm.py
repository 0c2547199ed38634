# SPDX-License-Identifier: GPL-2.0
"""URBs submitted and taken back by several threads while the ring is full: each comes back exactly once.

tests/storm runs in the guest and keeps account of every URB and every byte. Its
devices send back what they are sent, so most of its reads and many of its
writes are at the device when they are taken back.
"""

import pytest

from lab.counters import grown, halves
from lab.simulated import Echo

# A discard holds its device's lock in the guest: with several devices several go on at once.
DEVICES = 3
THREADS = 2
RING = 16


def pairs_of(line: str) -> dict[str, float]:
    return {name: float(value) for name, _, value in (word.partition("=") for word in line.split())}


@pytest.fixture
def echoes(vusb, usbback):
    """Simulated devices on the vusb's first ports, configured by the guest."""
    echoes = [Echo(usbback.dom0, number) for number in range(1, 1 + DEVICES)]
    for port, echo in enumerate(echoes, 1):
        usbback.add(vusb.rule(echo.busname, port))
        echo.plug()
    for port in range(1, 1 + DEVICES):
        vusb.wait_device(port)
    # vhci_hcd tells of each unlink, and dom0's console is slow.
    usbback.dom0.run("dmesg -n 5")
    yield echoes
    usbback.dom0.run("dmesg -n 8")
    for echo in echoes:
        echo.remove()


@pytest.mark.covers("echo", "control bulk interrupt")
@pytest.mark.stock_cannot("URBs taken back while the ring is full", "it keeps these unlinks in a list that nothing reads, and the URBs never come back")
def test_each_comes_back_once(guest, vusb, echoes, counts, record_property):
    before = halves(vusb)
    nodes = " ".join(vusb.usbfs(port) for port in range(1, 1 + DEVICES))
    job = guest.job(f"exec storm --threads {THREADS} --pairs {counts.storm_pairs} --seed 1 {nodes}")
    output, status = job.wait(120 + counts.storm_pairs / 10)
    print(output, end="", flush=True)
    assert status == 0, output
    *devices, time = map(pairs_of, output.splitlines())
    assert len(devices) == DEVICES
    total = {name: sum(device[name] for device in devices) for name in devices[0]}
    urbs = total["urbs"]
    assert urbs > counts.storm_pairs
    # A storm in which all came too late, or all in time, would show little.
    assert total["cancelled"] > urbs / 10 and total["completed"] > urbs / 10, total
    assert total["most"] > RING, "never more URBs than the ring has places"

    front, back = grown(before, halves(vusb))
    assert front["submitted"] == urbs
    assert front["completed"] == total["completed"]
    assert front["errors"] == total["short"]
    assert front["unlinked"] == total["cancelled"]
    assert (front["bytes_in"], front["bytes_out"]) == (total["bytes_in"], total["bytes_out"])
    assert front["ring_full"] > 0, "the ring was never full"
    # What was taken back while it waited for the ring never got there.
    assert 0 < back["submitted"] < urbs
    assert back["submitted"] == back["completed"] + back["unlinked"]
    assert 0 < back["unlinked"] <= total["cancelled"]
    assert (back["bytes_in"], back["bytes_out"]) == (total["bytes_in"], total["bytes_out"])

    # How often at which endpoint is chance.
    at_devices = [[echo.counters(endpoint)["unlinked"] for endpoint in Echo.ENDPOINTS] for echo in echoes]
    assert all(map(sum, at_devices)), at_devices
    record_property("pairs", counts.storm_pairs)
    record_property("cancelled", int(total["cancelled"]))
    record_property("late", int(total["late"]))
    record_property("ring_full", front["ring_full"])
    record_property("seconds", time["raged"])
    record_property("slowest unlink, ms", int(time["slowest_ms"]))
