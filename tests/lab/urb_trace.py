# SPDX-License-Identifier: GPL-2.0
"""Every URB of a domain: handed in when, given back when, as probes in its USB core tell.

Not usbmon, which keeps some hundred lines for its reader and drops the rest.
"""

import shlex
from dataclasses import dataclass

from lab.channel import Domain
from lab.tracing import TRACING, mount

# drivers/usb/core/hcd.c: an URB that is accepted comes back once, one that is refused does not.
# Function probes: a kprobe misses what happens in an interrupt of another one's handler.
PROBES = """\
f:urbs/in usb_hcd_submit_urb urb=$arg1:x64
f:urbs/refused usb_hcd_submit_urb%return urb=$arg1:x64 status=$retval:s32
f:urbs/back __usb_hcd_giveback_urb urb=$arg1:x64
"""
BUFFER_KIB = 16 << 10
# In a line the time and then the event's name follow the task's name, which may be several words.
# An URB that has gone in unseen and comes back is a stray one.
ACCOUNT = """
{ for (at = 3; at < NF && $at !~ /^(in|refused|back):$/; at++); }
at < NF { since = $(at - 1) - moment; urb = $0; sub(/.* urb=/, "", urb); sub(/ .*/, "", urb) }
$at == "in:" { urbs++; out[urb] = $0; then += since < 0 }
($at == "back:" || $at == "refused:") && !(urb in out) { strays++ }
($at == "back:" || $at == "refused:") && (urb in out) { delete out[urb]; then -= since < 0; last = since }
END { print urbs + 0, strays + 0, then + 0, last + 0; for (urb in out) print out[urb] }
"""


@dataclass(frozen=True)
class Account:
    """What has become of the URBs, seen from a moment."""

    urbs: int
    # Those that came back without having been handed in: the trace has lost something.
    strays: int
    # How many were out at that moment, with those of root hubs.
    then: int
    # How many seconds after it the last one was given back.
    last: float
    # Lines of those that are still out.
    out: tuple[str, ...]


class UrbTrace:
    """Looks at all busses of a domain while it is open."""

    def __init__(self, domain: Domain):
        self._domain = domain

    def __enter__(self) -> "UrbTrace":
        mount(self._domain)
        self._domain.put(f"{TRACING}/dynamic_events", PROBES.encode())
        self._domain.run(
            f"cd {TRACING} && echo {BUFFER_KIB} >buffer_size_kb && echo boot >trace_clock && echo >trace"
            " && echo 'status != 0' >events/urbs/refused/filter && echo 1 >events/urbs/enable"
        )
        return self

    def __exit__(self, *_exc) -> None:
        self._domain.run(f"cd {TRACING} && echo 0 >events/urbs/enable && echo >dynamic_events && echo >trace && echo 4 >buffer_size_kb")

    def now(self) -> float:
        """The domain's clock, as the trace's."""
        return float(self._domain.run("cat /proc/uptime").split()[0])

    def lost(self) -> int:
        """Events for which the trace had no room."""
        text = self._domain.run(f"grep overrun {TRACING}/per_cpu/cpu*/stats")
        return sum(int(line.split()[-1]) for line in text.splitlines())

    def account(self, moment: float) -> Account:
        head, *out = self._domain.run(f"awk -v moment={moment:.3f} {shlex.quote(ACCOUNT)} {TRACING}/trace").splitlines()
        urbs, strays, then, last = head.split()
        return Account(int(urbs), int(strays), int(then), float(last), tuple(out))
