# SPDX-License-Identifier: GPL-2.0
"""USB devices that QEMU emulates, on the controllers that QEMU emulates.

device_add and device_del are a plug going in and out of a real host
controller's port, with that controller's interrupts and timing.
"""

import socket
import time
from pathlib import Path

from lab.channel import LabError
from lab.dom0 import Dom0
from lab.machine import AUDIO
from lab.plug import Pluggable
from lab.qmp import Monitor


class Emulated(Pluggable):
    """A device of QEMU's on one port of one controller; plug() puts it in."""

    def __init__(self, dom0: Dom0, monitor: Monitor, driver: str, controller: str, port: int | str = 1, **properties):
        super().__init__(dom0, controller, port)
        self.monitor = monitor
        self.driver = driver
        self.properties = properties
        self.id = f"{controller}-{port}"

    @property
    def plugged(self) -> bool:
        return any(entry["name"] == self.id for entry in self.monitor("qom-list", path="/machine/peripheral"))

    def plug(self) -> "Emulated":
        bus = f"{self.controller}.0"
        self.monitor("device_add", driver=self.driver, id=self.id, bus=bus, port=str(self.port), **self.properties)
        return self

    def unplug(self) -> None:
        self.monitor("device_del", id=self.id)

    def remove(self) -> None:
        if self.plugged:
            self.unplug()
            self.wait_absent()

    def drop_backend(self, command: str, **arguments: object) -> None:
        """Takes what the device stood on away: it lets go a moment after it is gone from the bus."""
        deadline = time.monotonic() + 30
        while True:
            try:
                self.monitor(command, **arguments)
                return
            except LabError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


class Medium(Emulated):
    """A device over a file outside; `data` is what the test compares with."""

    superspeed = True
    driver: str

    def __init__(self, dom0: Dom0, monitor: Monitor, controller: str, file: Path, mib: int = 64, port: int | str = 1):
        self.file = file
        self.node = f"{controller}-{port}-disk"
        with file.open("wb") as disk:
            disk.truncate(mib << 20)
        super().__init__(dom0, monitor, self.driver, controller, port)

    def plug(self) -> "Medium":
        file = {"driver": "file", "filename": str(self.file)}
        self.monitor("blockdev-add", driver="raw", node_name=self.node, file=file)
        super().plug()
        return self

    def unplug(self) -> None:
        super().unplug()
        self.drop_backend("blockdev-del", node_name=self.node)

    @property
    def data(self) -> bytes:
        return self.file.read_bytes()

    def remove(self) -> None:
        super().remove()
        self.file.unlink(missing_ok=True)


class Disk(Medium):
    """Bulk-only storage."""

    driver = "usb-storage"

    def plug(self) -> "Disk":
        self.properties["drive"] = self.node
        super().plug()
        return self


class UasDisk(Medium):
    """USB Attached SCSI: a bridge, plugged in when its disk is there."""

    driver = "usb-uas"

    def plug(self) -> "UasDisk":
        super().plug()
        self.monitor("device_add", driver="scsi-hd", id=f"{self.id}-lun", bus=f"{self.id}.0", drive=self.node)
        self.monitor("qom-set", path=f"/machine/peripheral/{self.id}", property="attached", value=True)
        return self


class SerialAdapter(Emulated):
    """An FTDI chip. The far end of its line is `line`, a socket, at `file`; without one, whoever takes everything.

    QEMU writes with its big lock held until all is taken: a socket that nobody reads stops the machine.
    """

    def __init__(self, dom0: Dom0, monitor: Monitor, controller: str, file: Path | None = None, port: int | str = 1):
        self.file = file
        self.chardev = f"{controller}-{port}-line"
        super().__init__(dom0, monitor, "usb-serial", controller, port, chardev=self.chardev)

    def plug(self) -> "SerialAdapter":
        backend = {"type": "file", "data": {"out": "/dev/null"}}
        if self.file:
            address = {"type": "unix", "data": {"path": str(self.file)}}
            backend = {"type": "socket", "data": {"addr": address, "server": True, "wait": False}}
        self.monitor("chardev-add", id=self.chardev, backend=backend)
        if self.file:
            # Nobody at the far end is a device that is not plugged in.
            self.line = socket.socket(socket.AF_UNIX)
            self.line.connect(str(self.file))
        super().plug()
        return self

    def unplug(self) -> None:
        super().unplug()
        if self.file:
            self.line.close()
        self.drop_backend("chardev-remove", id=self.chardev)


class Hub(Emulated):
    """A full speed hub; what is behind it has ports such as "1.2"."""

    def __init__(self, dom0: Dom0, monitor: Monitor, controller: str, port: int | str = 1):
        super().__init__(dom0, monitor, "usb-hub", controller, port)


class Speaker(Emulated):
    """A USB sound card of 48 kHz, two channels; what it plays is in the machine's recording."""

    RATE = 48_000
    # A packet of a millisecond.
    PACKET = 192
    # It must not lose what comes in bursts, for that is how an emulated machine runs.
    BUFFER = 1024 * PACKET

    def __init__(self, dom0: Dom0, monitor: Monitor, controller: str, port: int | str = 1):
        super().__init__(dom0, monitor, "usb-audio", controller, port, audiodev=AUDIO, buffer=self.BUFFER)


class Keyboard(Emulated):
    def __init__(self, dom0: Dom0, monitor: Monitor, controller: str, port: int = 1):
        super().__init__(dom0, monitor, "usb-kbd", controller, port)

    def press(self, *keys: str) -> None:
        """Types keys one after the other, each pressed and released."""
        for key in keys:
            for down in (True, False):
                event = {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": key}}}
                self.monitor("input-send-event", events=[event])


class Tablet(Emulated):
    """An absolute pointer; coordinates are 0 to 32767."""

    def __init__(self, dom0: Dom0, monitor: Monitor, controller: str, port: int = 1):
        super().__init__(dom0, monitor, "usb-tablet", controller, port)

    def move(self, x: int, y: int) -> None:
        events = [{"type": "abs", "data": {"axis": axis, "value": value}} for axis, value in (("x", x), ("y", y))]
        self.monitor("input-send-event", events=events)
