# SPDX-License-Identifier: GPL-2.0
"""What the two halves of a controller have counted: the files of counters/."""

from lab.channel import Domain
from lab.vusb import Vusb


def counters(domain: Domain, device: str) -> dict[str, int]:
    lines = domain.run(f"cd {device}/counters && grep . *").splitlines()
    return {name: int(value) for name, _, value in (line.partition(":") for line in lines)}


def backend(vusb: Vusb) -> str:
    """The device in dom0 of the backend's half."""
    return f"/sys/bus/xen-backend/devices/vusb-{vusb.domid}-{vusb.number}"


def halves(vusb: Vusb) -> tuple[dict[str, int], dict[str, int]]:
    """The frontend's, the backend's."""
    front = f"/sys/bus/xen/devices/vusb-{vusb.number}"
    return counters(vusb.guest, front), counters(vusb.dom0, backend(vusb))


def grown(before: tuple[dict[str, int], ...], after: tuple[dict[str, int], ...]) -> tuple[dict[str, int], ...]:
    """What has been counted between two looks at both."""
    return tuple({name: now[name] - then[name] for name in now} for then, now in zip(before, after, strict=True))
