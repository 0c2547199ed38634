# SPDX-License-Identifier: GPL-2.0
"""The checks of the pure crates and of the safe layers, run by KUnit in dom0's kernel: one test for each."""

import pytest

from lab import ktap
from lab.kernel import KERNEL

MODULE = "/tmp/pvusb_kunit.ko"


@pytest.fixture(scope="module")
def verdicts(keeper):
    dom0 = keeper.lab().dom0
    dom0.put(MODULE, (KERNEL.modules / "pvusb_kunit.ko").read_bytes())
    dom0.run("echo 'lab: kunit begins' >/dev/kmsg")
    # Loading it runs everything before insmod returns.
    dom0.run(f"insmod {MODULE}", 300)
    log = dom0.run("dmesg | sed '1,/lab: kunit begins/d'")
    dom0.run("rmmod pvusb_kunit")
    return ktap.parse(log)


@pytest.mark.each_row
@pytest.mark.parametrize(("suite", "case"), ktap.expected(), ids=lambda word: word)
def test_kunit(lab, verdicts, suite, case):
    verdict = verdicts.get((suite, case), "was not run")
    assert verdict == "ok", verdict
