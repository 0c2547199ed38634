# SPDX-License-Identifier: GPL-2.0
"""Every URB of a domain, as its kernel's own usbmon tells of it: handed in when, given back when."""

import shlex
from dataclasses import dataclass

from lab.channel import Domain

FILE = "/tmp/usbmon"
STATISTICS = "/sys/kernel/debug/usb/usbmon/0s"
# A line is the URB's address, the time, S (handed in), C (given back) or E (not accepted after all), and
# more. Times are microseconds of the day's clock, of which usbmon keeps 4096 s.
ACCOUNT = """
{
    since = $2 / 1e6 - moment
    if (since > 2048) since -= 4096
    if (since < -2048) since += 4096
    # Those of a root hub are no transfers.
    counts = since < 0 && $4 !~ /:001:/
}
$3 == "S" { urbs++; out[$1] = $0; then += counts }
$3 != "S" && ($1 in out) { delete out[$1]; then -= counts; last = since }
END { print urbs + 0, then + 0, last + 0; for (urb in out) print out[urb] }
"""


@dataclass(frozen=True)
class Account:
    """What has become of the URBs, seen from a moment."""

    urbs: int
    # How many were out at that moment, without those of root hubs.
    then: int
    # How many seconds after it the last one was given back.
    last: float
    # usbmon's lines of those that are still out.
    out: tuple[str, ...]


class Usbmon:
    """Looks at all busses of a domain while it is open."""

    def __init__(self, domain: Domain):
        self._domain = domain

    def __enter__(self) -> "Usbmon":
        self._domain.run("modprobe usbmon")
        # It keeps about a hundred lines for its reader.
        self._job = self._domain.job(f"renice -n -20 $$ >/dev/null; exec cat /sys/kernel/debug/usb/usbmon/0u >{FILE}")
        self._domain.wait(f"grep 'nreaders 1 ' {STATISTICS}", 10, "nobody reads what usbmon tells")
        return self

    def __exit__(self, *_exc) -> None:
        self._job.kill()
        self._domain.run(f"rm -f {FILE}")

    def now(self) -> float:
        """The domain's clock, as usbmon's."""
        return float(self._domain.run("echo $EPOCHREALTIME")) % 4096

    def lost(self) -> int:
        """Lines that nobody has read in time."""
        return int(self._domain.run(f"cat {STATISTICS}").split()[-1])

    def account(self, moment: float) -> Account:
        head, *out = self._domain.run(f"awk -v moment={moment:.6f} {shlex.quote(ACCOUNT)} {FILE}").splitlines()
        urbs, then, last = head.split()
        return Account(int(urbs), int(then), float(last), tuple(out))
