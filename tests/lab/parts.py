# SPDX-License-Identifier: GPL-2.0
"""The parts of the lab's tests: each can be run at full counts by itself, and has a report of its own."""

PARTS = {
    "first-light": "flow_2009 guest_death input lab mass_storage rules throughput unbind unplug usbtest xl",
    "usb": "camera composite dialect_2009 dom0_suspend driver_domain hub hvm isochronous microphone network numbers qemu_backend"
    " save_restore serial simulated speaker statistics steady_state uas unlink_storm wakeup",
    "hostile-frontend": "exhaustion rogue_frontend",
    "hostile-backend": "backend_death rogue_backend",
    "hostile-devices": "rogue_devices",
    # Of what only kernels that watch themselves can do.
    "watched": "faults kasan kunit",
}
PART_OF = {f"test_{name}.py": part for part, names in PARTS.items() for name in names.split()}
# Those that mean something when guests have KASAN, and dom0 has not; one of them is a driver domain.
KASAN = "driver_domain kasan kunit rogue_backend unbind unlink_storm unplug usbtest".split()
