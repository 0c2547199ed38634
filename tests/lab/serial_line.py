# SPDX-License-Identifier: GPL-2.0
"""One end of a serial line, in a domain: sends and receives at the same time."""

from lab.channel import Domain


class End:
    def __init__(self, domain: Domain, tty: str):
        self.domain = domain
        self.tty = tty
        # It stays so over close and open, and no byte may come before it is so: it would be echoed.
        domain.run(f"stty -F {tty} raw -echo")

    def start(self, data: bytes, expected: int) -> None:
        """Sends `data`, and receives until `expected` bytes have come."""
        self.domain.put("/tmp/line.out", data)
        self._job = self.domain.job(
            f"exec 3<>{self.tty}; cat /tmp/line.out >&3 & head -c {expected} <&3 >/tmp/line.in; wait $!"
        )

    def received(self, timeout: float = 60) -> bytes:
        """What has come; waits until all is sent and received."""
        result = self._job.wait(timeout)
        assert result.status == 0, result.output
        received = self.domain.read("/tmp/line.in")
        self.domain.run("rm /tmp/line.in /tmp/line.out")
        return received
