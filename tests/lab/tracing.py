# SPDX-License-Identifier: GPL-2.0
"""Counts a domain's trace events by the call chain that leads to them, and tells which are a module's.

The kernel does the counting (hist triggers), so nothing is lost however many
events there are.
"""

import re
from dataclasses import dataclass

from lab.channel import Domain, LabError

TRACING = "/sys/kernel/tracing"
KEY = "common_stacktrace"
# Different call chains of one event; a domain that does other things at the same time has hundreds.
SIZE = 4096
# Entries from hardware, and from Xen into PV domains, whose assembler leaves no frame.
INTERRUPTS = ("asm_", "exc_", "sysvec_", "common_interrupt", "xen_evtchn_do_upcall", "handle_softirqs", "__do_softirq")
SYMBOL = re.compile(r"^(?P<function>\S+?)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?(?: \[(?P<module>\w+)\])?$")


@dataclass(frozen=True)
class Chain:
    """Events with the same call chain. Frames go from the event outwards; one of the kernel proper has module ""."""

    event: str
    hits: int
    frames: tuple[tuple[str, str], ...]

    def cause(self) -> str:
        """The first module on the way outwards: it has called the kernel, which did this."""
        for function, module in self.frames:
            if module:
                return module
            if function.startswith(INTERRUPTS):
                break  # What was interrupted is no cause.
        return ""

    def __str__(self) -> str:
        chain = " < ".join(f"{function}[{module}]" if module else function for function, module in self.frames)
        return f"{self.hits} {self.event}: {chain}"


def _frame(text: str) -> tuple[str, str]:
    found = SYMBOL.match(text.strip())
    return (found["function"], found["module"] or "") if found else (text.strip(), "")


def parse(event: str, text: str) -> list[Chain]:
    """Reads a hist file whose key is the call chain."""
    dropped = re.search(r"^\s*Dropped: (\d+)$", text, re.MULTILINE)
    if not dropped or dropped[1] != "0":
        raise LabError(f"{event}: events were not counted: {text[-200:]}")
    found = re.findall(rf"^\{{ {KEY}:\s*(.*?)\}} hitcount:\s+(\d+)", text, re.MULTILINE | re.DOTALL)
    return [Chain(event, int(hits), tuple(_frame(line) for line in frames.splitlines() if line.strip())) for frames, hits in found]


def mount(domain: Domain) -> None:
    """Has the domain's tracing where TRACING says."""
    domain.run(f"[ -d {TRACING}/events ] || mount -t tracefs tracefs {TRACING}")


class Watch:
    """Counts events such as kmem/kmalloc while it is open."""

    def __init__(self, domain: Domain, *events: str):
        self.domain = domain
        self._events = events

    def _each(self, change: str) -> None:
        lines = [f"echo '{change}hist:keys={KEY}:size={SIZE}' >{event}/trigger" for event in self._events]
        self.domain.run(f"cd {TRACING}/events && " + " && ".join(lines))

    def __enter__(self) -> "Watch":
        mount(self.domain)
        self._each("")
        return self

    def __exit__(self, *_exc) -> None:
        self._each("!")

    def chains(self) -> list[Chain]:
        """What has been counted so far."""
        return [
            chain for event in self._events for chain in parse(event, self.domain.run(f"cat {TRACING}/events/{event}/hist"))
        ]
