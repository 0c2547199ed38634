# SPDX-License-Identifier: GPL-2.0
"""lab-shell's terminal, with a socket in place of dom0's end: what goes through, and what leaves it."""

import fcntl
import os
import pathlib
import pty
import signal
import socket
import struct
import sys
import termios

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lab.terminal import ENDED, attach  # noqa: E402

WAIT_S = 20


class Dom0:
    def __init__(self, directory):
        self.directory = directory
        self.dom0 = self

    def try_run(self, command):
        with (self.directory / "commands").open("a") as commands:
            commands.write(command + "\n")


class Session:
    """A person at a terminal of 30 lines and 100 columns."""

    def __init__(self, directory):
        self.directory = directory
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(directory / "lab.tty"))
            listener.listen()
            self.pid, self.screen = pty.fork()
            if self.pid == 0:
                os.execv(sys.executable, [sys.executable, "-B", __file__, str(directory)])
            self.far, _ = listener.accept()
        self.far.settimeout(WAIT_S)

    def type(self, keys):
        os.write(self.screen, keys)

    def arrives(self, wanted):
        got = b""
        while len(got) < len(wanted):
            got += self.far.recv(len(wanted) - len(got))
        assert got == wanted

    def shows(self, wanted):
        shown = b""
        while wanted not in shown:
            shown += os.read(self.screen, 4096)

    def commands(self, number):
        """What was run in dom0, once there is so much."""
        while True:
            lines = (self.directory / "commands").read_text().splitlines()
            if len(lines) >= number:
                return lines

    def close(self):
        signal.alarm(0)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.screen)
        self.far.close()


@pytest.fixture
def session(tmp_path):
    signal.alarm(WAIT_S)  # reads of a terminal know no timeout
    session = Session(tmp_path)
    session.arrives(b"\n")
    yield session
    session.close()


def test_keys_go_through_and_nothing_is_done_to_them(session):
    keys = b"ls\r\x03\x04\x1a\x1b[A\x7f"
    session.type(keys)
    session.arrives(keys)
    session.far.sendall(b"dom0:~# ")
    session.shows(b"dom0:~# ")


def test_one_key_leaves_the_console_of_a_guest_and_not_the_terminal(session):
    for keys in (b"\x1d", b"x", b"\x1d"):
        session.type(keys)
        session.arrives(keys)
    session.type(b"\x1d")
    session.shows(b"left")


def test_the_end_of_the_shell_leaves(session):
    half = len(ENDED) // 2
    session.far.sendall(b"exit\r\n" + ENDED[:half])
    session.far.sendall(ENDED[half:])
    session.shows(b"left")


def test_the_end_of_the_machine_leaves(session):
    session.far.close()
    session.shows(b"left")


def test_the_far_end_has_the_size_of_the_window(session):
    assert session.commands(1) == ["stty -F /dev/hvc1 rows 30 cols 100"]
    fcntl.ioctl(session.screen, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    assert session.commands(2)[1] == "stty -F /dev/hvc1 rows 50 cols 200"


def test_the_terminal_is_as_it_was(session):
    before = termios.tcgetattr(session.screen)
    session.type(b"\x1d\x1d")
    session.shows(b"left")
    # The lines' own bits: raw mode has cleared them before.
    assert before[3] & termios.ECHO == 0
    assert termios.tcgetattr(session.screen)[3] & termios.ECHO


if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    attach(Dom0(pathlib.Path(sys.argv[1])))
    print("left")
