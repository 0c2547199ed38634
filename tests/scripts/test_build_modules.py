# SPDX-License-Identifier: GPL-2.0
"""A kernel that cannot take Rust modules gets one clear sentence, at once."""

import pathlib
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]


def build(kdir):
    done = subprocess.run(
        [TOP / "scripts/build-modules", "--kdir", kdir, "--out", kdir / "out"],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def tree(tmp_path):
    """A kernel tree that looks prepared; each test spoils one thing."""
    (tmp_path / "rust").mkdir()
    (tmp_path / "rust/libkernel.rmeta").touch()
    (tmp_path / ".prepared").write_text("7.0.0-test\n")
    config(tmp_path, rustc="rustc 1.0.0", cc="gcc-14 (Debian) 14.2.0")
    return tmp_path


def config(tree, rustc, cc, rust="CONFIG_RUST=y"):
    (tree / ".config").write_text(
        f'{rust}\nCONFIG_RUSTC_VERSION_TEXT="{rustc}"\nCONFIG_CC_VERSION_TEXT="{cc}"\n'
    )


def test_a_tree_that_is_not_there(tmp_path):
    assert "no kernel tree" in build(tmp_path / "missing")


def test_a_tree_without_configuration(tmp_path):
    assert "not a configured kernel tree" in build(tmp_path)


def test_a_kernel_without_rust(tree):
    config(tree, "", "gcc-14 (Debian) 14.2.0", rust="# CONFIG_RUST is not set")
    message = build(tree)
    assert "CONFIG_RUST" in message and "trixie-backports" in message


def test_a_tree_that_was_not_prepared(tree):
    (tree / "rust/libkernel.rmeta").unlink()
    assert "modules_prepare" in build(tree)


def test_another_compiler_than_the_kernels(tree):
    message = build(tree)
    assert "rustc 1.0.0" in message and "install" in message
