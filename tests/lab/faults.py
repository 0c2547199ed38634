# SPDX-License-Identifier: GPL-2.0
"""Allocations that fail: the debug kernel's failslab and fail_page_alloc.

Only those that one module has asked for, itself or through what it calls: what
the rest of a kernel makes of running out of memory is not ours to test.
"""

from lab.channel import Domain

# More than can ever fail; what is left of it tells how many have.
ENOUGH = 1 << 30
# As far as the kernel looks back for a caller (MAX_STACK_TRACE_DEPTH of lib/fault-inject.c).
DEPTH = 32


class Faults:
    """Within its `with` block some percent of a module's allocations fail."""

    def __init__(self, domain: Domain, module: str, kind: str, percent: int):
        self._domain = domain
        self._directory = f"/sys/kernel/debug/{kind}"
        start, end = text_of(domain, module)
        self._settings = {
            "verbose": 0,
            "interval": 1,
            "space": 0,
            "times": ENOUGH,
            # Those, too, that may wait for memory; a real kernel out of memory fails them last.
            "ignore-gfp-wait": "N",
            "stacktrace-depth": DEPTH,
            "require-start": f"{start:#x}",
            "require-end": f"{end:#x}",
        }
        if kind == "fail_page_alloc":
            self._settings |= {"min-order": 0, "ignore-gfp-highmem": "N"}
        self._percent = percent
        self.injected = 0

    def __enter__(self) -> "Faults":
        # The probability at last, when all that narrows it down is there.
        settings = [*self._settings.items(), ("probability", self._percent)]
        self._domain.run(f"cd {self._directory} && " + " && ".join(f"echo {value} >{name}" for name, value in settings))
        return self

    def __exit__(self, *_exc) -> None:
        self._domain.run(f"echo 0 >{self._directory}/probability")
        self.injected = ENOUGH - int(self._domain.run(f"cat {self._directory}/times"))


def text_of(domain: Domain, module: str) -> tuple[int, int]:
    """Where the code of a loaded module is; the last function's end is not known, its page is."""
    lines = domain.run(f"grep '\\[{module}\\]' /proc/kallsyms").splitlines()
    addresses = [int(address, 16) for address, kind, *_ in map(str.split, lines) if kind in "tT"]
    return min(addresses), max(addresses) + 0x1000
