# SPDX-License-Identifier: GPL-2.0
"""A frontend of 2009 is served: `ring-ref` alone, no conn ring, devices told by `port-N`.

It is tests/rogue, which behaves for once, in place of a driver.
"""

import pytest

from lab.gadget import Stick
from lab.rogue_frontend import RogueFrontend, held
from lab.simulated import Zero


@pytest.mark.covers("mass storage", "control bulk", peer="a 2009 frontend")
def test_a_stick_without_a_conn_ring(lab, guest, usbback, counts):
    dom0 = lab.dom0
    before = held(dom0)
    with Stick(dom0, 0, mib=4) as stick, Zero(dom0, 1, speed="high") as zero:
        front = RogueFrontend(usbback, guest, stick, zero)
        front.make()
        front.give()
        front.wait_given()
        vusb = front.vusb
        running = front.start("old", counts.old_rounds, 1)
        nodes = f'[ "$(xenstore-read {vusb.backend}/state)" = 4 ] && xenstore-list {vusb.frontend}'
        published = set(dom0.wait(nodes, 60, "it does not connect").split())
        assert {"ring-ref", "event-channel"} <= published
        assert not published & {"urb-ring-ref", "conn-ring-ref"}
        assert held(dom0)["rings"] == before["rings"] + 1, "one ring is mapped, the urb ring"
        front.finish(running)
        # The same rules and devices, with the ring that followed.
        front.attack("events", 1, 1)
        # port-N is kept true while nobody is connected, too.
        stick.unplug()
        vusb.wait_port_status(1, "0")
        stick.plug()
        vusb.wait_port_status(1, "3")
        front.attack("old", 2, 2)
        vusb.remove()
        usbback.clear()
    assert held(dom0) == before
