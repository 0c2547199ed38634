# SPDX-License-Identifier: GPL-2.0
"""QEMU's monitor: one JSON object a line over a unix socket.

The monitor serves one client at a time, so a connection lasts for one command.
"""

import json
import socket
from pathlib import Path

from lab.channel import LabError


class Monitor:
    def __init__(self, path: Path):
        self._path = path

    def __call__(self, command: str, **arguments: object) -> object:
        """Executes a command; underscores in argument names stand for dashes."""
        named = {name.rstrip("_").replace("_", "-"): value for name, value in arguments.items()}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self._path))
            stream = connection.makefile("rwb")
            self._answer(stream, "greeting")
            self._send(stream, "qmp_capabilities", {})
            self._answer(stream, "return")
            self._send(stream, command, named)
            return self._answer(stream, "return")

    @staticmethod
    def _send(stream, command: str, arguments: dict) -> None:
        stream.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        stream.flush()

    @staticmethod
    def _answer(stream, wanted: str) -> object:
        for line in stream:
            message = json.loads(line)
            if "error" in message:
                raise LabError(f"QEMU: {message['error']['desc']}")
            if wanted == "greeting" and "QMP" in message:
                return message
            if wanted in message:
                return message[wanted]
        raise LabError("QEMU closed its monitor")
