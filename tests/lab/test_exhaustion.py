# SPDX-License-Identifier: GPL-2.0
"""A guest in which something has run out: what works goes on, what begins fails and says so, and works afterwards."""

from contextlib import contextmanager

import pytest

from lab.driver_domain import DriverDomain
from lab.gadget import Stick
from lab.kernel import KERNEL
from lab.rogue_frontend import Reader

# Enough for two controllers and a network or a few disks, and so little that it is soon used up.
SCARCE = "max_grant_frames = 8\nevent_channels = 64"


@pytest.fixture
def scarce(lab):
    guest = lab.guest(3)
    guest.destroy()
    guest.start(memory=KERNEL.small_guest, frontend="ours", config=SCARCE)
    yield guest
    guest.destroy()


@contextmanager
def hogged(guest, good):
    """Nothing of it is left in the guest."""
    guest.run("modprobe xen-gntalloc limit=65536")
    job = guest.job(f"ulimit -n 4096; exec rogue hog {good} >/tmp/hogged 2>&1")
    print(guest.wait("grep taken: /tmp/hogged", 60, f"{good} do not run out"))
    yield
    job.kill()
    guest.wait("! pidof rogue", 30)


@contextmanager
def crowded(guest):
    """XenStore takes no more nodes of the guest."""
    # Fifty at a time, for that is quick, and then those that are left, for fifty are taken all or not at all.
    # A directory of its own for each fifty: the names in one have a quota too, which a few hundred use up.
    fill = "i=0; while xenstore-write $(printf \"data/hog/$i/%s x \" {1..50}) 2>/tmp/hogged; do i=$((i + 1)); done"
    rest = "i=0; while xenstore-write data/hog/rest/$i x 2>/tmp/hogged; do i=$((i + 1)); done; cat /tmp/hogged"
    print(guest.run(f"{fill}; {rest}", 120))
    yield
    guest.dom0.run(f"xenstore-rm /local/domain/{guest.domid}/data/hog")


@pytest.mark.parametrize("good", ["grants", "channels", "nodes"])
def test_run_out(usbback, scarce, good):
    guest = scarce
    with Reader(usbback, guest, udc=0) as reader:
        reads = reader.reads()
        reader.assert_goes_on(reads)
        late = usbback.vusb(guest, 1)
        with crowded(guest) if good == "nodes" else hogged(guest, good):
            guest.run("dmesg -c >/dev/null")
            late.create()
            print(guest.wait("dmesg | grep 'vusb-1:'", 60, "the frontend does not say what is wrong"))
            assert not late.connected
            reader.assert_goes_on(reader.reads())
        late.remove()
        late.create()
        late.wait_connected()
        late.remove()


@pytest.fixture
def scarce_server(dom0):
    server = DriverDomain(dom0, 2)
    server.destroy()
    server.start(config=SCARCE)
    yield server.prepare()
    server.destroy()


def test_a_driver_domain_runs_out_of_channels(guest, scarce_server):
    """The backend's domain: who is served goes on, who comes is refused, and is served when there are channels again."""
    server = scarce_server
    guest.run("modprobe xen-hcd")
    vusb, late = server.vusb(guest), server.vusb(guest, 1)
    vusb.create()
    vusb.wait_connected()
    with Stick(server, mib=4) as stick:
        digest = stick.fill()
        server.add(vusb.rule(stick.busname, 1))
        stick.plug()
        read = f"echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/{vusb.wait_disk(1)}"
        assert guest.run(read, 120) == digest
        with hogged(server, "channels"):
            server.run("dmesg -c >/dev/null")
            late.create()
            print(server.wait(f"dmesg | grep 'vusb-{guest.domid}-1:'", 60, "the backend does not say what is wrong"))
            assert not late.connected
            assert guest.run(read, 120) == digest
        late.remove()
        late.create()
        late.wait_connected()
        assert guest.run(read, 120) == digest
        late.remove()
    vusb.remove()
