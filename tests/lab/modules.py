# SPDX-License-Identifier: GPL-2.0
"""Picks kernel modules and all that they need out of Debian's tree."""

import re
import shutil
import subprocess
from pathlib import Path

from lab import paths


def _dependencies(tree: Path) -> dict[str, list[str]]:
    """modules.dep as a map from a module's path to the paths it needs, all of them."""
    needs = {}
    for line in (tree / "modules.dep").read_text().splitlines():
        module, _, rest = line.partition(":")
        needs[module] = rest.split()
    return needs


def depmod(root: Path, release: str) -> None:
    """Indexes a root's modules; depmod looks in lib/modules, which Debian merges into usr."""
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    subprocess.run(["depmod", "-b", root, release], check=True)


def _unsign(module: Path) -> None:
    """Cuts the signature off, as kernel/module_signature.c lays it out.

    Checking one takes a fifth of a second under emulation, dozens of times at
    each boot, and the modules under test have none anyway.
    """
    data = module.read_bytes()
    body, magic, _ = data.partition(b"~Module signature appended~\n")
    if magic:
        signature = int.from_bytes(body[-4:], "big")
        module.write_bytes(body[: -12 - signature])


def install(kernel: Path, root: Path, release: str, patterns: list[str]) -> None:
    """Copies what the patterns name, decompressed, and writes the index."""
    source = kernel / paths.MODULES / release
    needs = _dependencies(source)
    wanted = re.compile(rf"kernel/({'|'.join(patterns)})\.ko(\.xz)?")
    chosen = {module for module in needs if wanted.fullmatch(module)}
    chosen |= {need for module in chosen for need in needs[module]}
    if not chosen:
        raise FileNotFoundError(f"no module in {source} matches {patterns}")
    target = root / paths.MODULES / release
    for module in sorted(chosen):
        (target / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / module, target / module)
    packed = [str(target / module) for module in chosen if module.endswith(".xz")]
    if packed:
        subprocess.run(["xz", "-d", *packed], check=True)
    for module in target.rglob("*.ko"):
        _unsign(module)
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if (source / index).exists():
            shutil.copy(source / index, target)
    depmod(root, release)
