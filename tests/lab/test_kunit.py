# SPDX-License-Identifier: GPL-2.0
"""The checks of the pure crates and of the safe layers, run by KUnit in dom0's kernel, or with KASAN in a guest's: one test for each."""

import pytest

from lab import ktap
from lab.kernel import KERNEL

MODULE = "/tmp/pvusb_kunit.ko"


@pytest.fixture(scope="module")
def verdicts(keeper):
    domain = keeper.lab().dom0
    if KERNEL.guest_modules != KERNEL.modules:
        # dom0's kernel is another one.
        domain = keeper.lab().guest(1)
        domain.destroy()
        domain.start()
    domain.put(MODULE, (KERNEL.guest_modules / "pvusb_kunit.ko").read_bytes())
    domain.run("echo 'lab: kunit begins' >/dev/kmsg")
    # Loading it runs everything before insmod returns.
    domain.run(f"insmod {MODULE}", 300)
    log = domain.run("dmesg | sed '1,/lab: kunit begins/d'")
    domain.run("rmmod pvusb_kunit")
    return ktap.parse(log)


@pytest.mark.each_row
@pytest.mark.parametrize(("suite", "case"), ktap.expected(), ids=lambda word: word)
def test_kunit(lab, verdicts, suite, case):
    verdict = verdicts.get((suite, case), "was not run")
    assert verdict == "ok", verdict
