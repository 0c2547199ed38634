# SPDX-License-Identifier: GPL-2.0
"""Tells what the emulated processor has ended from what fails; that runs once more.

Nested paging of QEMU's emulated processor makes a PVH or HVM guest, one in some tens, end
in a triple fault at no place in particular. A kernel that goes wrong by itself says so
first, so that a triple fault counts as the emulator's only if no kernel has complained
during the same test.
"""

import pytest

from lab import kernel_log

# Says which lab there is, in its attribute `current`.
KEEPER = pytest.StashKey()


class EmulatorFault(Exception):
    """The emulated processor has ended a guest, not what ran on it."""


# The fixtures make a fresh lab after a failure. The summary counts what ran again.
once_more = pytest.mark.flaky(reruns=1, only_rerun=EmulatorFault.__name__)


def seen(logs: list[kernel_log.Reader], expected: tuple[str, ...]) -> bool:
    """Whether a lab's logs, Xen's first, tell of a guest that the emulated processor has ended since their last check."""
    xen = logs[0].peek()
    return "Triple fault" in xen and not any(kernel_log.scan(log.path.name, log.peek(), expected) for log in logs)


@pytest.hookimpl(wrapper=True)
def blame_emulator(item):
    """For the setup and the call of a test: says EmulatorFault of what failed by one."""
    try:
        return (yield)
    except (Exception, pytest.fail.Exception) as error:
        lab = item.config.stash[KEEPER].current if KEEPER in item.config.stash else None
        if lab and seen(lab.readers, kernel_log.expected_by(item)):
            raise EmulatorFault(f"a guest ended in a triple fault; its logs are in {lab.directory}") from error
        raise
