# SPDX-License-Identifier: GPL-2.0
"""Records what a domain's input device reports to its programs."""

import struct

from lab.channel import Domain

EVENT = struct.Struct("llHHi")
EV_KEY, EV_ABS = 1, 3
# A key pressed or released is a scan code, the key itself and a report.
PER_KEY = 3
# HID usages of the keys A, B, C, 1 and Enter, and Linux's codes of them.
USAGES = {4: 30, 5: 48, 6: 46, 30: 2, 40: 28}


class Recorder:
    """Records the only input device under a sysfs directory."""

    FILE = "/tmp/events"

    def __init__(self, domain: Domain, device: str):
        self.domain = domain
        node = domain.wait(f"find {device}/ -name 'event[0-9]*' | grep .", 60, f"no input device at {device}").strip().rpartition("/")[2]
        self._job = domain.job(f"cat /dev/input/{node} >{self.FILE}")
        domain.wait(f"[ -e {self.FILE} ] && ls -l /proc/[0-9]*/fd 2>/dev/null | grep -qw {node}", 30, f"{node} is not read")
        # usbhid_open() throws away what comes in the first 50 ms.
        domain.run("sleep 0.1")

    def wait(self, count: int, why: str, timeout: float = 30) -> None:
        """Waits for a number of events of any kind."""
        self.domain.wait(f"[ $(stat -c %s {self.FILE}) -ge {count * EVENT.size} ]", timeout, why)

    def events(self, kind: int) -> list[tuple[int, int]]:
        """What has come so far, of one kind, as (code, value)."""
        raw = self.domain.read(self.FILE)
        whole = raw[: len(raw) // EVENT.size * EVENT.size]
        return [(code, value) for _, _, type_, code, value in EVENT.iter_unpack(whole) if type_ == kind]

    def stop(self) -> None:
        self._job.kill()
        self.domain.try_run(f"rm -f {self.FILE}")


def assert_keys_arrive(keyboard, domain: Domain, device: str, count: int) -> None:
    """Presses keys of a HidKeyboard: a domain's input device reports each, once and in order."""
    usages = [list(USAGES)[i % len(USAGES)] for i in range(count)]
    recorder = Recorder(domain, device)
    keyboard.press(*usages)
    recorder.wait(count * 2 * PER_KEY, "fewer key events than keys", 60)
    events = recorder.events(EV_KEY)
    recorder.stop()
    assert events == [(USAGES[usage], value) for usage in usages for value in (1, 0)]
