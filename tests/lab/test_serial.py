# SPDX-License-Identifier: GPL-2.0
"""Serial lines: bytes both ways at the same time, none lost, changed or out of order."""

import random
import threading

import pytest

from lab.emulated import SerialAdapter
from lab.gadget import SerialLine
from lab.serial_line import End


def noise(seed, size):
    """Every byte value, those that a terminal would act on among them."""
    return random.Random(seed).randbytes(size)


@pytest.mark.covers("serial (CDC-ACM)", "bulk interrupt control")
def test_modem(guest, vusb, usbback, counts):
    size = counts.line_kib << 10
    there, back = noise(1, size), noise(2, size)
    guest.run("modprobe cdc-acm")
    with SerialLine(usbback.dom0) as line:
        usbback.add(vusb.rule(line.busname, 1))
        line.plug()
        device = vusb.wait_device(1)
        tty = guest.wait(f"ls -d {device}/*/tty/ttyACM*", 60, "cdc_acm makes no tty").rpartition("/")[2]
        assert set(line.drivers().values()) == {"usbback"}
        host, inside = End(usbback.dom0, line.tty), End(guest, f"/dev/{tty}")
        host.start(there, size)
        inside.start(back, size)
        assert inside.received() == there
        assert host.received() == back


def talk(line, data, expected, received):
    """The far end of an adapter's line: sends when the first byte has come, for the driver clears the chip when it opens it."""
    received += line.recv(1 << 16)
    sender = threading.Thread(target=line.sendall, args=(data,))
    sender.start()
    while len(received) < expected and (some := line.recv(1 << 16)):
        received += some
    sender.join()


@pytest.mark.covers("serial (FTDI)", "bulk control")
@pytest.mark.parametrize("controller,frontend", [("uhci", "ours"), ("xhci", "ours"), ("xhci", "stock")], scope="module")
def test_adapter(lab, guest, vusb, usbback, counts, controller, tmp_path):
    size = counts.line_kib << 8
    there, back = noise(3, size), noise(4, size)
    guest.run("modprobe ftdi_sio")
    with SerialAdapter(lab.dom0, lab.monitor, controller, tmp_path / "line") as adapter:
        usbback.add(vusb.rule(adapter.busname, 1))
        adapter.plug()
        device = vusb.wait_device(1)
        tty = guest.wait(f"ls -d {device}/*/ttyUSB*", 60, "ftdi_sio makes no tty").rpartition("/")[2]
        adapter.line.settimeout(60)
        received = bytearray()
        far = threading.Thread(target=talk, args=(adapter.line, there, size, received))
        far.start()
        inside = End(guest, f"/dev/{tty}")
        inside.start(back, size)
        assert inside.received() == there
        far.join()
        assert received == back
