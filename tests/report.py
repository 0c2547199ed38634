# SPDX-License-Identifier: GPL-2.0
"""A run of the checks as a page: what was run on what, how long it took, what it measured."""

import datetime
import pathlib
import platform
import re
import subprocess
import xml.etree.ElementTree as ET


def first_line(*command: str) -> str:
    """First line that a command prints; it names a version."""
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return text.splitlines()[0] if text else "unknown"


def bench(modules: pathlib.Path) -> list[tuple[str, str]]:
    """What the figures depend on."""
    return [
        ("commit", first_line("git", "describe", "--always", "--dirty")),
        ("kernel of dom0 and guests", first_line("modinfo", "-F", "vermagic", str(modules / "usbbk.ko"))),
        ("rustc", first_line("rustc", "--version")),
        ("QEMU", first_line("qemu-system-x86_64", "--version")),
        ("machine", f"{platform.machine()}, {len_cpus()} processors, QEMU without KVM"),
    ]


def len_cpus() -> int:
    return len(list(pathlib.Path("/sys/devices/system/cpu").glob("cpu[0-9]*")))


def outcome(case: ET.Element) -> str:
    for tag, name in (("failure", "FAILED"), ("error", "FAILED"), ("skipped", "skipped")):
        if case.find(tag) is not None:
            return name
    return "passed"


def sentence(test: str) -> str:
    """A test's name, read as a sentence: test_a_b[pv] is "a b (pv)"."""
    name, _, parameters = test.partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words} ({parameters.rstrip(']')})" if parameters else words


def measured(case: ET.Element) -> str:
    """What a test has recorded beside its verdict (pytest's record_property)."""
    found = [item for item in case.iterfind("properties/property") if item.get("name") not in ("covers", "cannot")]
    return "; ".join(f"{item.get('name')}: {item.get('value')}" for item in found)


def noted(xml: pathlib.Path, name: str) -> dict[tuple[str, ...], set[str]]:
    """What tests have noted about combinations, with the outcomes of those tests."""
    rows: dict[tuple[str, ...], set[str]] = {}
    for case in ET.parse(xml).iter("testcase"):
        for item in case.iterfind("properties/property"):
            if item.get("name") == name:
                rows.setdefault(tuple(item.get("value", "").split("|")), set()).add(outcome(case))
    return rows


def compatibility(xml: pathlib.Path) -> list[str]:
    """What was seen to work with what: one row for each combination that a test covers; then what a peer cannot do."""
    rows = noted(xml, "covers")
    lines = ["| device | transfers | peer | domain | result |", "| --- | --- | --- | --- | --- |"]
    for row, outcomes in sorted(rows.items()):
        worst = "FAILED" if "FAILED" in outcomes else "passed" if "passed" in outcomes else "skipped"
        lines.append(f"| {' | '.join(row)} | {worst} |")
    beyond = sorted(noted(xml, "cannot"))
    if beyond:
        lines += ["", "Beyond a peer's limits, so not tested:", "", "| what | peer | cause |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(row)} |" for row in beyond]
    return lines


def cases(xml: pathlib.Path) -> list[str]:
    """A table of one pytest run, by file."""
    lines = []
    last = None
    for case in ET.parse(xml).iter("testcase"):
        where = re.sub(r"^.*\.test_", "", case.get("classname", "")).replace("_", " ")
        if where != last:
            lines += ["", f"### {where}", "", "| test | result | seconds | measured |", "| --- | --- | ---: | --- |"]
            last = where
        seconds = float(case.get("time", "0"))
        lines.append(f"| {sentence(case.get('name', ''))} | {outcome(case)} | {seconds:.0f} | {measured(case)} |")
    return lines


def fuzzed(rows: list[tuple[str, ...]]) -> list[str]:
    """What each fuzz target has run, and what came of it."""
    head = ["", "## Fuzzing", "", "| target | seeds | seconds | runs | edges reached | result |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows)] if rows else []


def covered(rows: list[tuple[str, str, str, str]]) -> list[str]:
    """How much of each crate its tests run."""
    head = ["", "## Coverage of the pure crates", "", "| crate | lines | run | percent |", "| --- | ---: | ---: | ---: |"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows)] if rows else []


def write(path: pathlib.Path, *, title: str, modules: pathlib.Path, tally, lab: pathlib.Path):
    """Writes the page from what scripts/check has counted (its Tally) and the lab's own report."""
    parts = tally.parts
    lines = [
        f"# {title}",
        "",
        f"Written by `scripts/check` on {datetime.date.today()}. Times are of a machine without KVM: a guest's instruction",
        "takes some ten times as long as on hardware.",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in bench(modules)),
        "",
        "| part | passed | failed |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {passed} | {failed} |" for name, passed, failed in parts),
        f"| **all** | {sum(part[1] for part in parts)} | {sum(part[2] for part in parts)} |",
    ]
    lines += covered(tally.coverage) + fuzzed(tally.fuzz)
    if lab.exists():
        lines += ["", "## What works with what", "", *compatibility(lab)]
        lines += ["", "## In the lab", *cases(lab)]
    path.write_text("\n".join(lines) + "\n")


def write_compatibility(path: pathlib.Path, lab: pathlib.Path):
    """Writes the table of what works with what as a page of its own."""
    intro = "Written by `scripts/check --compatibility` from its own run: what was seen to work with what, and what was not."
    path.write_text("\n".join(["# Compatibility", "", intro, "", *compatibility(lab)]) + "\n")
