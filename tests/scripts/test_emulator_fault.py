# SPDX-License-Identifier: GPL-2.0
"""What the emulated processor has ended is tried once more, and nothing else is."""

import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
CONFTEST = f"""
import pathlib, sys, types
sys.path.insert(0, {str(TESTS)!r})
from lab.emulator_fault import KEEPER, blame_emulator, once_more
from lab.kernel_log import Reader
pytest_runtest_setup = pytest_runtest_call = blame_emulator
here = pathlib.Path(__file__).parent
readers = [Reader(here / "dom0.log"), Reader(here / "guest1.log")]
since = here / "since.log"

def pytest_configure(config):
    config.stash[KEEPER] = types.SimpleNamespace(current=types.SimpleNamespace(readers=readers, directory=here))
    config.addinivalue_line("markers", "expect_log(pattern): as in the lab")
    if since.exists():
        readers[0].new()
        with readers[0].path.open("a") as log:
            log.write(since.read_text())

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(once_more)
"""
# Fails the first time that it runs, if told where.
TEST = """
import pathlib, pytest
runs = pathlib.Path(__file__).parent / "runs"

def again():
    with runs.open("a") as log:
        log.write("x")
    return runs.read_text() == "x"

@pytest.fixture
def guest(request):
    if {where!r} == "setup":
        assert not again()

@pytest.mark.expect_log("provoked")
def test_it(guest):
    if {where!r} == "call":
        assert not again()
"""
FAULT = "(XEN) d7v0 Triple fault - invoking HVM shutdown action 1\n"
WARNING = "[   12.5] WARNING: CPU: 0 PID: 1 at kernel/x.c:1\n"
PROVOKED = "[   12.5] Kernel panic - not syncing: provoked\n"


def run(directory, test):
    """Runs one test with the lab's rules about such faults."""
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_it.py").write_text(test)
    return subprocess.run([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", directory], capture_output=True, text=True)


@pytest.mark.parametrize("where", ["setup", "call"])
@pytest.mark.parametrize(
    "dom0,guest,saved",
    [
        (FAULT, "", True),
        (FAULT, PROVOKED, True),
        ("", "", False),
        (FAULT, WARNING, False),
        (FAULT + WARNING, "", False),
        ("", FAULT, False),
    ],
)
def test_once_more(tmp_path, where, dom0, guest, saved):
    (tmp_path / "dom0.log").write_text(dom0)
    (tmp_path / "guest1.log").write_text(guest)
    done = run(tmp_path, TEST.format(where=where))
    assert (done.returncode == 0) == saved, done.stdout
    assert ("1 rerun" in done.stdout) == saved, done.stdout
    assert (tmp_path / "runs").read_text() == ("xx" if saved else "x")


@pytest.mark.parametrize("before,since,saved", [(WARNING, FAULT, True), (FAULT, "", False)])
def test_what_an_earlier_test_has_left_does_not_count(tmp_path, before, since, saved):
    (tmp_path / "dom0.log").write_text(before)
    (tmp_path / "since.log").write_text(since)
    done = run(tmp_path, TEST.format(where="call"))
    assert (done.returncode == 0) == saved, done.stdout


def test_twice_is_a_failure(tmp_path):
    (tmp_path / "dom0.log").write_text(FAULT)
    done = run(tmp_path, "def test_it():\n    assert False\n")
    assert done.returncode == 1 and "1 failed, 1 rerun" in done.stdout, done.stdout
