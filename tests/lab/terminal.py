# SPDX-License-Identifier: GPL-2.0
"""Joins a person's terminal to one of dom0.

Every key goes there. What leaves it is the end of the shell there or, whatever
hangs, Ctrl-] twice; once leaves `xl console`, as everywhere.
"""

import os
import select
import signal
import socket
import sys
import termios
import tty

from lab.lab import Lab

LEAVE = b"\x1d"
END_OF_FILE = b"\x04"
# What dom0/login says at the end, to programs and not to people.
ENDED = b"\033]lab;ended\007"


def attach(lab: Lab) -> None:
    """Returns when the person has left."""
    near = sys.stdin.fileno()
    saved = termios.tcgetattr(near) if os.isatty(near) else None
    with socket.socket(socket.AF_UNIX) as far:
        far.connect(str(lab.directory / "lab.tty"))
        try:
            if saved:
                tty.setraw(near)
                signal.signal(signal.SIGWINCH, lambda *_: _resize(lab, near))
                _resize(lab, near)
            # What was said there before we came is lost; this is the first thing said to us.
            far.sendall(b"\n")
            _copy(near, far)
        finally:
            if saved:
                signal.signal(signal.SIGWINCH, signal.SIG_DFL)
                termios.tcsetattr(near, termios.TCSADRAIN, saved)
            print(flush=True)


def _resize(lab: Lab, near: int) -> None:
    size = os.get_terminal_size(near)
    lab.dom0.try_run(f"stty -F /dev/hvc1 rows {size.lines} cols {size.columns}")


def _copy(near: int, far: socket.socket) -> None:
    sources = [near, far]
    said = typed = b""
    while True:
        ready, _, _ = select.select(sources, [], [])
        if far in ready:
            data = far.recv(65536)
            said = said[1 - len(ENDED) :] + data
            os.write(sys.stdout.fileno(), data)
            if not data or ENDED in said:
                return
        if near in ready:
            data = os.read(near, 4096)
            typed = typed[-1:] + data
            if LEAVE * 2 in typed:
                return
            if not data:
                # Not a person: the shell ends when it has done what it was given.
                sources.remove(near)
            far.sendall(data or END_OF_FILE)
