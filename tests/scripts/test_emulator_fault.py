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
pytest_runtest_setup = pytest_runtest_call = blame_emulator
here = pathlib.Path(__file__).parent
machine = types.SimpleNamespace(logs=[here / "dom0.log", here / "guest1.log"])

def pytest_configure(config):
    config.stash[KEEPER] = types.SimpleNamespace(current=types.SimpleNamespace(machine=machine, directory=here))

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

def test_it(guest):
    if {where!r} == "call":
        assert not again()
"""
FAULT = "(XEN) d7v0 Triple fault - invoking HVM shutdown action 1\n"
WARNING = "[   12.5] WARNING: CPU: 0 PID: 1 at kernel/x.c:1\n"


@pytest.mark.parametrize("where", ["setup", "call"])
@pytest.mark.parametrize(
    "dom0,guest,saved",
    [(FAULT, "", True), ("", "", False), (FAULT, WARNING, False), (FAULT + WARNING, "", False), ("", FAULT, False)],
)
def test_once_more(tmp_path, where, dom0, guest, saved):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST.format(where=where))
    (tmp_path / "dom0.log").write_text(dom0)
    (tmp_path / "guest1.log").write_text(guest)
    done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", tmp_path], capture_output=True, text=True)
    assert (done.returncode == 0) == saved, done.stdout
    assert ("1 rerun" in done.stdout) == saved, done.stdout
    assert (tmp_path / "runs").read_text() == ("xx" if saved else "x")


def test_twice_is_a_failure(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert False\n")
    (tmp_path / "dom0.log").write_text(FAULT)
    done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1 and "1 failed, 1 rerun" in done.stdout, done.stdout
