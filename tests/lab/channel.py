# SPDX-License-Identifier: GPL-2.0
"""Runs commands in dom0 over virtio-serial, and through dom0 in guests.

The other end is dom0/serve, and tests/guest/serve in a guest. Each lab has a few ports; a port carries one
request at a time, so several threads or processes use several ports.
"""

import fcntl
import os
import re
import shlex
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import pexpect
from pexpect.fdpexpect import fdspawn

from lab.kernel import KERNEL

# An emulated machine on a busy host is many times slower than on an idle one.
# Limits are written for the idle one; a test that means a bound measures it.
PATIENCE = float(os.environ.get("PVUSB_PATIENCE", KERNEL.patience))
GRACE = 30 * PATIENCE
PORTS = 4
# Of a command, in the log of commands.
NOTED = 300


class LabError(Exception):
    """The lab itself does not work, or a command in it failed."""


class CommandTimeout(LabError):
    """A command was not done within its limit."""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    raw: bytes

    @property
    def output(self) -> str:
        return self.raw.decode(errors="replace")

    def __iter__(self):
        """So that `output, status = dom0.run(...)` reads well."""
        return iter((self.output, self.status))


class Port:
    """One virtio-serial port, ours until it is closed."""

    def __init__(self, path: Path, lock):
        self._lock = lock
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._spawn = fdspawn(self._socket, use_poll=True)
        self._serial = 0
        self.usable = True

    def request(self, verb: str, argument: str, body: bytes, timeout: float) -> Result:
        # The time makes an answer to an earlier process's request recognizable.
        self._serial += 1
        tag = f"{time.time_ns():x}.{self._serial}"
        self._socket.sendall(f"{verb} {tag} {argument} {len(body)}\n".encode() + body)
        deadline = time.monotonic() + timeout
        try:
            self._spawn.expect(re.escape(f"@{tag} ").encode() + rb"(\d+) (\d+)\n", timeout=timeout)
            status, size = (int(group) for group in self._spawn.match.groups())
            return Result(status, self._take(size, deadline))
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            self.usable = False
            raise CommandTimeout(f"no answer within {timeout:.0f} s to: {verb} {argument} {body[:200]!r}") from error

    def _take(self, size: int, deadline: float) -> bytes:
        """The answer's body; expect may already have read some of it, or more."""
        parts = [self._spawn.buffer]
        have = len(parts[0])
        while have < size:
            parts.append(self._spawn.read_nonblocking(65536, deadline - time.monotonic()))
            have += len(parts[-1])
        body = b"".join(parts)
        self._spawn.buffer = body[size:]
        return body[:size]

    def close(self) -> None:
        self._socket.close()
        self._lock.close()


class Channel:
    """The ports of one lab, shared with whoever else talks to it."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._idle: list[Port] = []

    def _open(self, patience: float) -> Port:
        deadline = time.monotonic() + patience
        while True:
            for number in range(PORTS):
                lock = (self._directory / f"lab.{number}.lock").open("w")
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return Port(self._directory / f"lab.{number}", lock)
                except BlockingIOError:
                    lock.close()
            if time.monotonic() > deadline:
                raise LabError(f"all {PORTS} command ports of the lab are in use")
            time.sleep(0.1)

    def request(self, verb: str, argument: str, body: bytes, timeout: float) -> Result:
        port = self._idle.pop() if self._idle else self._open(GRACE)
        start = time.time()
        try:
            return port.request(verb, argument, body, timeout)
        finally:
            self._note(start, verb, argument, body)
            # A port that did not answer stays locked: a command still sits on it.
            if port.usable:
                self._idle.append(port)

    def _note(self, start: float, verb: str, argument: str, body: bytes) -> None:
        """What was asked when and how long it took, for whoever reads a run's logs."""
        text = body[:NOTED].decode(errors="replace").replace("\n", " ")
        with (self._directory / "commands.log").open("a") as log:
            log.write(f"{start:.3f} {time.time() - start:7.3f} {verb} {argument} {text}\n")

    def close(self) -> None:
        for port in self._idle:
            port.close()
        self._idle.clear()


def guest_request(verb: str, argument: str, body: bytes) -> bytes:
    """A request to a guest, which dom0 hands on as the body of `via`."""
    return f"{verb} {argument} {len(body)}\n".encode() + body


def guest_result(answer: bytes) -> Result | None:
    """A guest's answer; None if the guest went away in mid-answer."""
    tail = re.search(rb"@(\d+)\n\Z", answer)
    return Result(int(tail[1]), answer[: tail.start()]) if tail else None


class Domain:
    """What dom0 and guests have in common; a subclass says how a request travels."""

    name: str

    def _request(self, verb: str, argument: str, body: bytes, timeout: float) -> Result:
        raise NotImplementedError

    def try_run(self, command: str, timeout: float = 60) -> Result:
        """Runs a bash command whose failure is the caller's business."""
        limit = timeout * PATIENCE
        start = time.monotonic()
        result = self._request("run", f"{limit:g}", command.encode(), limit + GRACE)
        # timeout(1) gives these when it had to end the command, but so do others.
        if result.status in (124, 137, 143) and time.monotonic() - start >= limit:
            raise CommandTimeout(f"{self.name}: not done within {limit:g} s: {command}\n{result.output}")
        return result

    def run(self, command: str, timeout: float = 60) -> str:
        """Runs a shell command that has to succeed; returns its output."""
        result = self.try_run(command, timeout)
        if result.status:
            raise LabError(f"{self.name}: status {result.status} from: {command}\n{result.output}")
        return result.output

    def read(self, path: str) -> bytes:
        result = self.try_run(f"cat {shlex.quote(path)}")
        if result.status:
            raise LabError(f"{self.name}: {result.output}")
        return result.raw

    def put(self, path: str, data: bytes) -> None:
        result = self._request("put", path, data, GRACE)
        if result.status:
            raise LabError(f"{self.name}: cannot write {path}: {result.output}")

    def wait(self, condition: str, timeout: float = 30, why: str = "") -> str:
        """Waits until a shell condition holds, polling inside; returns its output."""
        # Much is true in a moment; to ask costs processes, so it asks ever less often.
        pause = "printf -v pause 0.%02d $n; read -rt $pause -u 8; n=$((n < 8 ? 2 * n : 15))"
        loop = f"exec 8<>/run/lab/never; n=2; until out=$( {{ {condition}; }} 2>/dev/null ); do {pause}; done; echo \"$out\""
        try:
            return self.run(loop, timeout).rstrip("\n")
        except CommandTimeout as error:
            raise CommandTimeout(f"{self.name}: {why or 'never true'}: {condition}\n{error}") from None

    def job(self, command: str) -> "Job":
        """Starts a command in the background."""
        return Job(self, command)


class Job:
    """A background command of a domain."""

    def __init__(self, domain: Domain, command: str):
        self.domain = domain
        self.command = command
        self._at = f"/run/lab/job.{time.time_ns():x}"
        domain.put(f"{self._at}.sh", command.encode())
        domain.run(
            f"setsid sh -c 'bash {self._at}.sh >{self._at}.out 2>&1; echo $? >{self._at}.status.new;"
            f" mv {self._at}.status.new {self._at}.status' </dev/null >/dev/null 2>&1 & echo $! >{self._at}.pid"
        )

    def running(self) -> bool:
        return self.domain.try_run(f"[ -e {self._at}.status ]").status != 0

    def wait(self, timeout: float = 60) -> Result:
        """Waits for the end; the status is the caller's business."""
        why = f"still running: {self.command}"
        status = int(self.domain.wait(f"cat {self._at}.status 2>/dev/null", timeout, why))
        return Result(status, self.domain.read(f"{self._at}.out"))

    def kill(self, signal: str = "KILL") -> None:
        self.domain.try_run(f"kill -{signal} -- -$(cat {self._at}.pid)")
