# SPDX-License-Identifier: GPL-2.0
"""A network card with dom0 at the other end of its wire: pings, and files both ways."""

import pytest

from lab.gadget import NetworkCard

HOST, INSIDE = "10.78.1.1", "10.78.1.2"
PORT = 9000
SOCKET = f"TCP4-LISTEN:{PORT},reuseaddr"
DRIVERS = {"ncm": "cdc_ncm", "ecm": "cdc_ether"}
PINGS = 20
# What is sent is in the sender's memory, and in the receiver's.
MOST_MIB = 16


def listen(dom0, source, target):
    """Hands on what goes through one TCP connection; dom0 listens."""
    job = dom0.job(f"socat -u {source} {target}")
    dom0.wait(f"grep -q ':{PORT:04X} [0:]* 0A' /proc/net/tcp", 30, "nobody listens")
    return job


def make_file(domain, mib):
    return domain.run(f"head -c {mib << 20} /dev/urandom >/tmp/sent; md5sum </tmp/sent")


def to_host(guest, dom0, mib):
    """Sends a file from the guest; returns its checksum at both ends."""
    sent = make_file(guest, mib)
    job = listen(dom0, SOCKET, "CREATE:/tmp/received")
    guest.run(f"cat /tmp/sent >/dev/tcp/{HOST}/{PORT}", 120)
    assert job.wait().status == 0
    guest.run("rm /tmp/sent")
    return sent, dom0.run("md5sum </tmp/received; rm /tmp/received")


def to_guest(guest, dom0, mib):
    """The same the other way."""
    sent = make_file(dom0, mib)
    job = listen(dom0, "FILE:/tmp/sent", SOCKET)
    received = guest.run(f"cat </dev/tcp/{HOST}/{PORT} | md5sum", 120)
    assert job.wait().status == 0
    dom0.run("rm /tmp/sent")
    return sent, received


def came_in(domain, interface):
    return int(domain.run(f"cat /sys/class/net/{interface}/statistics/rx_bytes"))


@pytest.mark.parametrize(
    "protocol",
    [
        pytest.param("ncm", marks=pytest.mark.covers("network (CDC-NCM)", "bulk interrupt control")),
        pytest.param("ecm", marks=pytest.mark.covers("network (CDC-ECM)", "bulk interrupt control")),
    ],
)
def test_wire(guest, vusb, usbback, counts, protocol):
    dom0 = usbback.dom0
    guest.run(f"modprobe {DRIVERS[protocol]}")
    with NetworkCard(dom0, protocol=protocol) as card:
        usbback.add(vusb.rule(card.busname, 1))
        card.plug()
        device = vusb.wait_device(1)
        inside = guest.wait(f"ls {device}/*:*/net", 60, "no network interface in the guest").split()[-1]
        assert set(card.drivers().values()) == {"usbback"}
        host = card.interface
        guest.run(f"ip address add {INSIDE}/30 dev {inside} && ip link set {inside} up")
        dom0.run(f"ip address add {HOST}/30 dev {host} && ip link set {host} up")
        guest.wait(f"[ $(cat /sys/class/net/{inside}/carrier) = 1 ]", 30, "no carrier")
        for domain, address in ((guest, HOST), (dom0, INSIDE)):
            # The longest that goes into one frame, too.
            for length in (56, 1472):
                said = domain.run(f"busybox ping -c {PINGS} -i 0.05 -s {length} {address}", 60)
                assert f"{PINGS} packets received, 0% packet loss" in said, said
        mib = min(counts.fill_mib, MOST_MIB)
        for send, receiver, interface in ((to_host, dom0, host), (to_guest, guest, inside)):
            before = came_in(receiver, interface)
            sent, received = send(guest, dom0, mib)
            assert received == sent
            assert came_in(receiver, interface) - before >= mib << 20, "it has come another way"
