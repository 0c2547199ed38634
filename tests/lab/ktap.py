# SPDX-License-Identifier: GPL-2.0
"""What KUnit says about its suites (Documentation/dev-tools/ktap.rst), and which suites there are."""

import re

from lab import paths

SUITE = re.compile(r"\bkunit_tests\((\w+)\)")
CASE = re.compile(r"#\[test\]\s+fn (\w+)\(")
STAMP = re.compile(r"^\[ *[\d.]+\] ?(?:\[ *[TC]\d+\] )?")
RESULT = re.compile(r"( *)(not ok|ok) \d+ (\w+)(.*)")


def expected() -> list[tuple[str, str]]:
    """Suite and name of every check in the sources, so that one that vanishes is missed."""
    found = []
    for source in sorted([*paths.TOP.glob("*/*/checks/*.rs"), *paths.TOP.glob("tests/kunit/*.rs")]):
        _, *parts = SUITE.split(source.read_text())
        for suite, text in zip(parts[::2], parts[1::2]):
            found += [(suite, case) for case in CASE.findall(text)]
    return found


def parse(log: str) -> dict[tuple[str, str], str]:
    """Each case's verdict: "ok", or its line and what was said before it."""
    verdicts, suite, said = {}, None, []
    for line in log.replace("\r", "").splitlines():
        line = STAMP.sub("", line)
        subtest = re.match(r" *# Subtest: (\w+)", line)
        if subtest:
            suite, said = subtest[1], []
        elif match := RESULT.match(line):
            # A suite's own line is not indented.
            if match[1]:
                good = match[2] == "ok" and "# SKIP" not in match[4]
                verdicts[suite, match[3]] = "ok" if good else "\n".join([*said, line])
            said = []
        else:
            said.append(line)
    return verdicts
