# SPDX-License-Identifier: GPL-2.0
"""USB devices that QEMU emulates, on the controllers that QEMU emulates.

device_add and device_del are a plug going in and out of a real host
controller's port, with that controller's interrupts and timing.
"""

from pathlib import Path

from lab.channel import LabError
from lab.dom0 import Dom0
from lab.qmp import Monitor


class Emulated:
    """A device of QEMU's on one port of one controller; plug() puts it in."""

    def __init__(self, dom0: Dom0, monitor: Monitor, driver: str, controller: str, port: int = 1, **properties):
        self.dom0 = dom0
        self.monitor = monitor
        self.driver = driver
        self.controller = controller
        self.port = port
        self.properties = properties
        self.id = f"{controller}-{port}-device"
        self.plugged = False

    @property
    def busname(self) -> str:
        return self.dom0.busname(self.controller, self.port)

    def plug(self) -> "Emulated":
        self.monitor(
            "device_add", driver=self.driver, id=self.id, bus=f"{self.controller}.0", port=str(self.port), **self.properties
        )
        self.plugged = True
        return self

    def unplug(self) -> None:
        self.monitor("device_del", id=self.id)
        self.plugged = False

    def wait_present(self, timeout: float = 30) -> str:
        busname = self.busname
        self.dom0.wait(f"[ -e /sys/bus/usb/devices/{busname}/bNumConfigurations ]", timeout, f"no device {busname}")
        return busname

    def wait_absent(self, timeout: float = 30) -> None:
        busname = self.busname
        self.dom0.wait(f"[ ! -e /sys/bus/usb/devices/{busname} ]", timeout, f"device {busname} is still there")

    def remove(self) -> None:
        if self.plugged:
            self.unplug()
            self.wait_absent()

    def __enter__(self) -> "Emulated":
        return self

    def __exit__(self, *_exc) -> None:
        self.remove()


class Disk(Emulated):
    """usb-storage over a file outside; `data` is what the test compares with."""

    def __init__(self, dom0: Dom0, monitor: Monitor, controller: str, file: Path, mib: int = 64, port: int = 1):
        self.file = file
        self.node = f"{controller}-{port}-disk"
        with file.open("wb") as disk:
            disk.truncate(mib << 20)
        super().__init__(dom0, monitor, "usb-storage", controller, port, drive=self.node)

    def plug(self) -> "Disk":
        try:
            self.monitor("blockdev-del", node_name=self.node)
        except LabError:
            pass  # the first time there is none
        self.monitor("blockdev-add", driver="raw", node_name=self.node, file={"driver": "file", "filename": str(self.file)})
        super().plug()
        return self

    @property
    def data(self) -> bytes:
        return self.file.read_bytes()

    def remove(self) -> None:
        super().remove()
        self.file.unlink(missing_ok=True)


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
