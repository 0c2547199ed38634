# SPDX-License-Identifier: GPL-2.0
"""Joins a person's terminal to a terminal of the lab; Ctrl-] leaves."""

import os
import select
import socket
import sys
import termios
import tty
from pathlib import Path

LEAVE = b"\x1d"


def attach(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as far:
        far.connect(str(path))
        # A prompt at once: the shell wrote its first one before we came.
        far.sendall(b"\n")
        near = sys.stdin.fileno()
        saved = termios.tcgetattr(near) if os.isatty(near) else None
        try:
            if saved:
                tty.setraw(near)
            _copy(near, far)
        finally:
            if saved:
                termios.tcsetattr(near, termios.TCSADRAIN, saved)
            print()


def _copy(near: int, far: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([near, far], [], [])
        if far in ready:
            data = far.recv(65536)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if near in ready:
            data = os.read(near, 4096)
            if not data or LEAVE in data:
                return
            far.sendall(data)
