# SPDX-License-Identifier: GPL-2.0
"""A lab of real Xen: dom0 and guests in QEMU, driven from Python.

image    makes the disks from Debian packages, once
payload  what changes from run to run: modules under test, init scripts
machine  the QEMU process, its devices and its monitor
channel  runs a command inside and returns its output and status
dom0, guest, gadget, emulated   what a test talks to
kernel_log  finds the lines that no kernel log may hold
kernel   which kernel dom0 and the guests run; kmemleak, ktap read what the debug kernel finds
"""
