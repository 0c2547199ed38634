# SPDX-License-Identifier: GPL-2.0
"""make install puts the modules where modprobe prefers them; make uninstall undoes it."""

import pathlib
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]


def run(*command):
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True)


def modinfo(module, field):
    done = run("modinfo", "-F", field, f"./{module}")
    assert done.returncode == 0, f"{done.stderr}: make modules comes first"
    return done.stdout.splitlines()


@pytest.fixture
def root(tmp_path):
    """A root with the kernel of our modules and its own xen-hcd."""
    release = modinfo("usbbk.ko", "vermagic")[0].split()[0]
    stock = tmp_path / "lib/modules" / release / "kernel/drivers/usb/host/xen-hcd.ko"
    stock.parent.mkdir(parents=True)
    stock.write_bytes((TOP / "xen-hcd.ko").read_bytes())
    for name in ("modules.order", "modules.builtin"):
        (tmp_path / "lib/modules" / release / name).touch()
    assert run("depmod", "-b", tmp_path, release).returncode == 0
    return tmp_path


def would_load(root, module):
    """The file that modprobe would insert, under the root."""
    (release,) = (path.name for path in (root / "lib/modules").iterdir())
    done = run("modprobe", "-d", root, "-S", release, "--show-depends", module)
    files = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("insmod")]
    return files[-1].split(f"{release}/")[1] if files else None


def test_modprobe_takes_ours_until_uninstall(root):
    assert would_load(root, "xen-hcd") == "kernel/drivers/usb/host/xen-hcd.ko"
    done = run("make", "install", f"INSTALL_MOD_PATH={root}")
    assert done.returncode == 0, done.stderr
    assert would_load(root, "xen-hcd") == "updates/xen-hcd.ko"
    assert would_load(root, "usbbk") == "updates/usbbk.ko"
    assert {path.name for path in root.glob("lib/modules/*/updates/*")} == {"usbbk.ko", "xen-hcd.ko"}
    # udev loads by alias: a frontend and a backend device of xenbus.
    assert would_load(root, "xen:vusb") == "updates/xen-hcd.ko"
    assert would_load(root, "xen-backend:vusb") == "updates/usbbk.ko"
    done = run("make", "uninstall", f"INSTALL_MOD_PATH={root}")
    assert done.returncode == 0, done.stderr
    assert would_load(root, "xen-hcd") == "kernel/drivers/usb/host/xen-hcd.ko"
    assert would_load(root, "usbbk") is None
    assert not list(root.glob("lib/modules/*/updates"))


def test_install_for_a_kernel_that_is_not_there(tmp_path):
    done = run("make", "install", f"INSTALL_MOD_PATH={tmp_path}")
    assert done.returncode != 0
    assert "is not installed there" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module, alias", [("usbbk.ko", "xen-backend:vusb"), ("xen-hcd.ko", "xen:vusb")])
def test_modinfo(module, alias):
    assert modinfo(module, "license") == ["GPL"]
    assert modinfo(module, "alias") == [alias]
    for field in ("author", "description"):
        assert len(modinfo(module, field)) == 1, field


def test_parameters_say_what_they_do():
    (trusted,) = modinfo("xen-hcd.ko", "parm")
    name, _, text = trusted.partition(":")
    assert name == "trusted" and len(text) > 20
