# SPDX-License-Identifier: GPL-2.0
"""Memory that nothing points to any more, as the debug kernel's kmemleak finds it."""

import re

from lab.channel import Domain

FILE = "/sys/kernel/debug/kmemleak"
OBJECT = "unreferenced object"
# What the kernel loses without us.
KNOWN = (
    # f_sourcesink.c: each bind copies the descriptors, and the copies of the last one are freed with the function.
    re.compile(r"\bsourcesink_bind\+"),
    # f_hid.c: each bind allocates the request of endpoint 0 anew.
    re.compile(r"\bhidg_bind\+"),
    # xenbus_dev_probe(): the path of the other half, "/local/domain/…", of a device whose probe has failed.
    re.compile(r'comm "xenbus".*\n.*\n +2f 6c 6f 63 61 6c 2f 64 6f 6d 61 69 6e 2f '),
)
# usbtest.c: unlink1() keeps the URB that it could not submit, and its buffer, and says so.
UNSUBMITTED = re.compile(r'comm "testusb"(?s:.*)\b(usb_alloc_urb|usb_alloc_coherent)\+')
SAID = "dmesg | grep -c 'usbtest .*: submit fail ' || true"


def unexplained(reports: list[str], unsubmitted: int) -> list[str]:
    """Those that the kernel does not lose without us; of usbtest's there may be two for each URB that it could not submit."""
    reports = [report for report in reports if not any(known.search(report) for known in KNOWN)]
    kept = [report for report in reports if UNSUBMITTED.search(report)]
    if len(kept) > 2 * unsubmitted:
        return reports
    return [report for report in reports if report not in kept]


def forget(domain: Domain) -> None:
    """What is lost by now is the boot's business, not a test's."""
    domain.run(f"echo scan >{FILE}; echo clear >{FILE}", 300)


def leaks(domain: Domain) -> list[str]:
    """Every object that two scans found unreachable, with the backtrace of its allocation, but for what is known.

    Two, because a pointer may be on its way from one place to another during
    one of them. The scanner does not look at what is younger than five seconds.
    """
    domain.run(f"sleep 6; echo scan >{FILE}; echo scan >{FILE}", 600)
    _, *reports = domain.read(FILE).decode(errors="replace").split(OBJECT)
    ours = unexplained(reports, int(domain.run(SAID))) if reports else []
    return [f"{domain.name}: {OBJECT}{report.rstrip()}" for report in ours]


def asleep(domain: Domain) -> list[str]:
    """Watchers that have switched themselves off: lockdep after its first report, kmemleak out of memory."""
    off = []
    if domain.try_run("grep -q 'debug_locks: *1$' /proc/lockdep_stats").status:
        off.append(f"{domain.name}: lockdep is off")
    if domain.try_run(f"echo scan=off >{FILE}").status:
        off.append(f"{domain.name}: kmemleak is off")
    return off
