# SPDX-License-Identifier: GPL-2.0
"""Finds in kernel and hypervisor logs what no healthy run writes.

A log is read on from where the last check stopped, so that a line is blamed on
the test during which it appeared.
"""

import re
from dataclasses import dataclass
from pathlib import Path

TROUBLE = re.compile(
    r"""
      \bWARNING:\s                         # WARN(), and grants that leak
    | \bBUG:\s | kernel\sBUG\sat
    | \bOops: | \bgeneral\sprotection\sfault | \binvalid\sopcode:
    | unable\sto\shandle | \bdivide\serror: | \bdouble\sfault:
    | \bKernel\spanic | Rust\spanic | rust_kernel:\spanicked | \bpanicked\sat\s
    | INFO:\stask\s.*\sblocked\sfor\smore\sthan
    | INFO:\srcu | rcu:.*\bstall | \bsoft\slockup\b | \bhard\sLOCKUP\b | hung_task
    | INFO:\spossible\s(circular|recursive|irq) | INFO:\sinconsistent\slock | DEBUG_LOCKS_WARN_ON
    | turning\soff\sthe\slocking\scorrectness
    | INFO:\ssuspicious\sRCU | \bbad\sunlock\sbalance | INFO:\strying\sto\sregister\snon-static\skey
    | \bKASAN: | \bKCSAN: | \bKFENCE: | \bUBSAN: | \bODEBUG: | \bkmemleak:.*(disabled|pool\sempty)
    | refcount_t: | list_(add|del)\scorruption | \bBad\s(page\sstate|page\smap|rss-counter)
    | scheduling\swhile\satomic | sleeping\sfunction\scalled
    | slab-\S+-out-of-bounds | \bRedzone | \bPoison\soverwritten
    | sysfs:\scannot\screate\sduplicate | kobject.*\btried\sto\b
    | irq\s\d+:\snobody\scared
    | \(XEN\).*(\bBUG\b|Xen\sWARN|Xen\sBUG|Assertion|Panic\son\sCPU|FATAL)
    | leaking\sg\.e\. | Failed\sto\sunmap
    """,
    re.VERBOSE,
)
CONTEXT = 12


@dataclass(frozen=True)
class Finding:
    """A line of a log that must not be there, and what came after it."""

    log: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.log}: " + "\n    ".join(self.lines)


def scan(name: str, text: str, expected: tuple[str, ...] = ()) -> list[Finding]:
    """Every trouble in a piece of a log, except lines that match an expected pattern.

    A report's own later lines are its context, not further findings.
    """
    lines = text.replace("\r", "").split("\n")
    findings = []
    last = -CONTEXT
    for number, line in enumerate(lines):
        if not TROUBLE.search(line) or any(re.search(pattern, line) for pattern in expected):
            continue
        if number - last >= CONTEXT:
            findings.append(Finding(name, tuple(lines[number : number + CONTEXT])))
        last = number
    return findings


def expected_by(test) -> tuple[str, ...]:
    """The patterns of lines that a test provokes on purpose."""
    return tuple(pattern for mark in test.iter_markers("expect_log") for pattern in mark.args)


class Reader:
    """Reads a growing log from where it last stopped."""

    def __init__(self, path: Path):
        self.path = path
        self._offset = 0

    def new(self) -> str:
        data = self._rest()
        self._offset += len(data)
        return data.decode(errors="replace")

    def peek(self) -> str:
        """What `new()` would return, which still will."""
        return self._rest().decode(errors="replace")

    def _rest(self) -> bytes:
        if not self.path.exists():
            return b""
        with self.path.open("rb") as log:
            log.seek(self._offset)
            return log.read()
