# SPDX-License-Identifier: GPL-2.0
"""The two frontends that a guest can have: ours, and the C one of its own kernel. Both modules have one name."""

from lab.channel import Domain
from lab.vusb import Vusb

LOAD = {"ours": "modprobe xen-hcd", "stock": "modprobe usbcore; insmod /lab/stock/xen-hcd.ko"}
PEERS = {"ours": "our frontend and backend", "stock": "the kernel's C frontend"}
# The C frontend sends one request for a URB, and a request has 16 pages. What is on a page boundary by
# chance only has one page less. usb-storage makes 120 KiB and takes an error at that for the disk's.
STOCK_REQUEST_KIB = 60


def load(guest: Domain, which: str) -> None:
    guest.run(LOAD[which])


def connect(vusb: Vusb, which: str) -> None:
    """Makes a controller, as in 2009, for a guest that has loaded no frontend yet."""
    vusb.create()
    # The C frontend gives up at once, and for good, where usb-ver is missing; our backend writes it.
    vusb.dom0.wait(f"xenstore-read {vusb.backend}/usb-ver", 30, "the backend does not write usb-ver")
    load(vusb.guest, which)
    vusb.wait_connected()
    vusb.request_kib = limit(which)


def limit(which: str) -> int | None:
    """The longest request of a disk, in KiB, where the frontend has a limit."""
    return STOCK_REQUEST_KIB if which == "stock" else None


def loaded(guest: Domain) -> str | None:
    # Ours was built outside the kernel, which taints it.
    asked = "[ ! -d /sys/module/xen_hcd ] || { grep -q O /sys/module/xen_hcd/taint && echo ours || echo stock; }"
    return guest.run(asked).strip() or None


def unload(guest: Domain) -> None:
    guest.run("if grep -q ^xen_hcd /proc/modules; then rmmod xen_hcd; fi")
