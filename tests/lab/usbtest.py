# SPDX-License-Identifier: GPL-2.0
"""Runs the kernel's own USB test driver, usbtest, by its tool testusb."""

import re

from lab.channel import Domain

# Cases without isochronous endpoints, which dummy_hcd does not have.
CASES = (*range(15), 17, 18, 19, 20, 21, 24, 27, 28, 29)
# Isochronous OUT and IN, with buffers aligned and not. They need the altsetting that has such endpoints.
ISO_CASES = (15, 16, 22, 23)
# Whole packets of every isochronous endpoint the tests use: 512, 1024 and 3 times 1024 bytes.
ISO_SIZE = 3072


def run_cases(domain: Domain, node: str, cases: tuple[int, ...], count: int, size: int = 1024) -> dict[int, str]:
    """What became of each case: "passed", or what testusb said instead.

    Each case is a process with a limit of its own: a hang names its case.
    """
    domain.run("modprobe usbtest")
    domain.wait(f"ls -d /sys/bus/usb/drivers/usbtest/*:*", 30, "usbtest does not bind")
    words = " ".join(map(str, cases))
    script = (
        f"for t in {words}; do echo \"case $t\"; timeout -k 5 120 testusb -D {node} -t $t -c {count} -s {size} -v 512 -g 8 2>&1"
        " || echo \"status $?\"; done"
    )
    output = domain.run(script, 150 * len(cases))
    results = {}
    for part in output.split("case ")[1:]:
        number, _, text = part.partition("\n")
        done = re.search(rf"test {number},\s+[\d.]+ secs", text)
        results[int(number)] = "passed" if done else text.strip() or "not supported"
    return results


def failures(results: dict[int, str]) -> dict[int, str]:
    return {case: text for case, text in results.items() if text != "passed"}
