# SPDX-License-Identifier: GPL-2.0
"""One lab: a machine, its dom0 and its guests."""

import os
import time
import uuid
from pathlib import Path

from lab import kernel_log, machine, paths
from lab.channel import PATIENCE, Channel, CommandTimeout, LabError
from lab.dom0 import Dom0
from lab.guest import Guest
from lab.machine import Machine, Options

BOOT = 120


def default_images() -> Path:
    """The newest images; lab-image says which ones it made through the environment."""
    if os.environ.get("PVUSB_LAB_IMAGES"):
        return Path(os.environ["PVUSB_LAB_IMAGES"])
    made = [path for path in paths.CACHE.glob("lab-*") if (path / "release").exists() and not path.suffix == ".new"]
    if not made:
        raise LabError("no images; run scripts/lab-image")
    return max(made, key=lambda path: path.stat().st_mtime)


class Lab:
    """Attach to a running lab with Lab(name), or make one with Lab(name).start()."""

    def __init__(self, name: str):
        self.name = name
        self.directory = machine.directory_of(name)
        self.machine = Machine(self.directory)
        self.monitor = self.machine.monitor
        self.channel = Channel(self.directory)
        self.dom0 = Dom0(self.channel)
        self.readers = [kernel_log.Reader(path) for path in self.machine.logs]

    def start(self, options: Options, keep: bool = False) -> "Lab":
        """Boots Xen and dom0; returns when dom0 takes commands."""
        self.machine.start(options, keep)
        try:
            self._wait_dom0()
        except BaseException:
            self.stop()
            raise
        return self

    def _wait_dom0(self) -> None:
        try:
            self.dom0.run("true", BOOT)
        except CommandTimeout as error:
            tail = self.machine.logs[0].read_text(errors="replace")[-1500:]
            raise LabError(f"dom0 did not come up; the end of its log:\n{tail}") from error

    @property
    def running(self) -> bool:
        return self.machine.pid is not None

    def guest(self, slot: int = 1) -> Guest:
        return Guest(self.dom0, slot)

    def sleep(self, command: str, said: str, timeout: float = 60) -> None:
        """Has dom0 run what sends it to sleep; returns when it is awake, and has `said` so in its log.

        For the last test of a lab: dom0's virtio console takes it that nobody listens to
        the guests' logs any more. The command ports are opened anew.
        """
        log = self.machine.logs[0]
        times = log.read_text(errors="replace").count(said)
        self.dom0.job(f"sleep 1; {command}")
        # Its answers get lost while it falls asleep.
        self.channel.close()
        deadline = time.monotonic() + timeout * PATIENCE
        while log.read_text(errors="replace").count(said) == times:
            if time.monotonic() > deadline:
                raise LabError(f"dom0 does not say: {said}")
            time.sleep(0.1)

    def flush_logs(self, timeout: float = 20) -> None:
        """Waits until what the kernels have said has reached the log files.

        A guest that does not answer has said its last word already.
        """
        mark = f"lab: mark {uuid.uuid4().hex[:12]}"
        waiting = [self.machine.logs[0]]
        for slot in self.dom0.linked_guests():
            try:
                self.guest(slot).run(f"echo '{mark}' >/dev/kmsg", 10)
                waiting.append(self.machine.logs[slot])
            except LabError:
                continue
        self.dom0.run(f"echo '{mark}' >/dev/kmsg")
        deadline = time.monotonic() + timeout * PATIENCE
        for log in waiting:
            while mark not in log.read_text(errors="replace"):
                if time.monotonic() > deadline:
                    raise LabError(f"{log} does not receive its kernel's messages")
                time.sleep(0.05)

    def trouble(self, expected: tuple[str, ...] = ()) -> list[kernel_log.Finding]:
        """What the logs got since the last call that no healthy run writes."""
        return [
            finding
            for reader in self.readers
            for finding in kernel_log.scan(reader.path.name, reader.new(), expected)
        ]

    def stop(self) -> None:
        self.channel.close()
        self.machine.stop()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_exc) -> None:
        self.stop()
