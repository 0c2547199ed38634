# SPDX-License-Identifier: GPL-2.0
"""The announcement of 2009, followed step by step: every file and node it names."""

from lab.conftest import every_pair
from lab.gadget import Stick
from lab.usbback import DRIVER

PORTS = 8


def read(domain, path):
    return domain.run(f"cat {path}")


def test_setup_writes_the_nodes_of_the_reference(guest, usbback):
    """Before any device: what the script leaves in XenStore, and who may read it."""
    vusb = usbback.vusb(guest)
    vusb.create()
    dom0 = usbback.dom0
    assert dom0.xenstore(f"{vusb.backend}/frontend-id") == str(guest.domid)
    assert dom0.xenstore(f"{vusb.backend}/frontend") == vusb.frontend
    assert dom0.xenstore(f"{vusb.backend}/num-ports") == str(PORTS)
    assert [vusb.port_status(n) for n in range(1, PORTS + 1)] == ["0"] * PORTS
    assert dom0.xenstore(f"{vusb.frontend}/backend-id") == "0"
    assert dom0.xenstore(f"{vusb.frontend}/backend") == vusb.backend
    assert dom0.run(f"xenstore-ls -p {vusb.backend} | grep num-ports").split("(")[1].strip(" )\n") == f"n0,r{guest.domid}"
    # The frontend is not there yet: the backend waits for it.
    dom0.wait(f'[ "$(xenstore-read {vusb.backend}/state)" = 2 ]', 30, "usbback does not wait in InitWait")
    vusb.remove()
    assert dom0.xenstore(vusb.backend) is None
    assert dom0.xenstore(vusb.frontend) is None


def test_frontend_publishes_its_rings(vusb):
    dom0 = vusb.dom0
    nodes = {name: dom0.xenstore(f"{vusb.frontend}/{name}") for name in ("ring-ref", "urb-ring-ref", "conn-ring-ref", "event-channel")}
    assert None not in nodes.values()
    assert nodes["ring-ref"] == nodes["urb-ring-ref"]
    assert dom0.xenstore(f"{vusb.backend}/usb-ver") == "2"


@every_pair
def test_a_stick_by_rule(guest, vusb, usbback):
    """Rule, plug, use, unplug, remove: the section `Hotplug` of the text."""
    dom0 = usbback.dom0
    assert usbback.rules() == []
    assert usbback.grabbed() == []
    with Stick(dom0, mib=8) as stick:
        data = stick.fill()
        rule = vusb.rule(stick.busname, 1)
        usbback.add(rule)
        assert usbback.rules() == [rule]
        assert usbback.grabbed() == []
        assert vusb.port_status(1) == "0"

        stick.plug()
        disk = vusb.wait_disk(1)
        assert usbback.grabbed() == [f"{stick.busname}:1.0"]
        assert stick.drivers() == {f"{stick.busname}:1.0": "usbback"}
        assert vusb.port_status(1) == "3"
        assert read(guest, f"{vusb.device(1)}/speed") == "480\n"
        assert dom0.run("ls /sys/block").split() == [name for name in dom0.run("ls /sys/block").split() if not name.startswith("sd")]
        assert guest.run(f"md5sum </dev/{disk}", 120) == data

        stick.unplug()
        vusb.wait_no_device(1)
        vusb.wait_port_status(1, "0")
        assert usbback.grabbed() == []
        assert usbback.rules() == [rule], "the rule outlives the device: that is what makes a replug come back"

        stick.plug()
        vusb.wait_disk(1)
        usbback.remove(rule)
        vusb.wait_no_device(1)
        assert usbback.rules() == []
        assert usbback.grabbed() == []
        assert usbback.write("remove_vport", rule) == ["ENOENT"]


def test_ports_follow_their_rules(guest, vusb, usbback):
    """Two devices on chosen ports of one controller, as the text's example assigns them."""
    with Stick(usbback.dom0, 0, mib=4) as first, Stick(usbback.dom0, 1, mib=6) as second:
        usbback.add(vusb.rule(first.busname, 3))
        usbback.add(vusb.rule(second.busname, 2))
        first.plug()
        second.plug()
        sizes = {port: read(guest, f"/sys/block/{vusb.wait_disk(port)}/size") for port in (2, 3)}
        assert sizes == {3: f"{4 << 11}\n", 2: f"{6 << 11}\n"}
        assert [vusb.port_status(n) for n in (1, 2, 3)] == ["0", "3", "3"]
        assert sorted(usbback.grabbed()) == sorted(f"{stick.busname}:1.0" for stick in (first, second))


def test_files_have_their_modes(usbback):
    modes = usbback.dom0.run(f"cd {DRIVER}; stat -c '%n %a' new_vport remove_vport vports grabbed_devices").split("\n")
    assert modes[:4] == ["new_vport 200", "remove_vport 200", "vports 400", "grabbed_devices 400"]
