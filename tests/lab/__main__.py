# SPDX-License-Identifier: GPL-2.0
"""The lab from a command line; scripts/lab-run and scripts/lab-shell come here."""

import argparse
import sys
import time
from pathlib import Path

from lab import paths, terminal
from lab.channel import LabError
from lab.guest import Guest
from lab.kernel import KERNEL
from lab.lab import Lab, default_images
from lab.machine import GUESTS, Options


def say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(
        prog="lab-run",
        description="Boots Xen with a dom0 (and guests) in QEMU and runs commands there.",
        epilog="""Without --keep, --to and the like: boot, run the COMMANDs in dom0, stop; the status is
        the first failing command's, or 3 if a kernel log holds a WARN, BUG or the like. With PVUSB_KERNEL=debug in the environment,
        the kernel that scripts/debug-kernel builds; with PVUSB_KERNEL=kasan, guests have its sister with KASAN.""",
    )
    parse.add_argument("commands", nargs="*", metavar="COMMAND", help="shell commands, run one after the other")
    parse.add_argument("--name", default="default", help="which lab; several can run at once (default: %(default)s)")
    where = parse.add_argument_group("what to do")
    where.add_argument("--keep", action="store_true", help="boot, run the commands, leave the lab running")
    where.add_argument("--to", metavar="WHERE", help="run the commands in dom0 or guestN of a running lab")
    where.add_argument("--push", nargs=2, metavar=("FILE", "PATH"), help="with --to: copy a file there first")
    where.add_argument("--start", type=int, metavar="N", help="start guest N of a running lab")
    where.add_argument("--stop", action="store_true", help="stop a running lab")
    where.add_argument("--list", action="store_true", help="list the running labs")
    where.add_argument("--logs", action="store_true", help="print where a lab's logs are, and what trouble they hold")
    where.add_argument("--shell", action="store_true", help="a terminal in dom0 of the running lab, or of a new one")
    made = parse.add_argument_group("how a lab is made")
    made.add_argument("--usbbk", type=Path, metavar="KO", help="backend module (default: usbbk.ko of the checkout for the kernel, if there)")
    made.add_argument("--xen-hcd", type=Path, metavar="KO", help="frontend module (default: xen-hcd.ko of the checkout for the kernel, if there)")
    made.add_argument("--guests", type=int, default=0, metavar="N", help="start guests 1 to N (0 to 4)")
    made.add_argument("--type", default=KERNEL.guest_type, choices=["pv", "pvh"], help="kind of guest (default: %(default)s)")
    made.add_argument("--frontend", default="none", choices=["none", "ours", "stock"], help="xen-hcd that guests load")
    made.add_argument("--timeout", type=float, default=300, help="seconds for each command (default: %(default)s)")
    made.add_argument("--dom0-args", default="", help="more kernel parameters for dom0")
    return parse


def module(given: Path | None, built: Path) -> Path | None:
    """A module given must exist; the one of the checkout may not be built yet."""
    if given:
        if not given.is_file():
            raise LabError(f"no module {given}")
        return given.resolve()
    return built if built.is_file() else None


def boot(args: argparse.Namespace, keep: bool) -> Lab:
    options = Options(
        images=default_images(),
        usbbk=module(args.usbbk, KERNEL.modules / "usbbk.ko"),
        xen_hcd=module(args.xen_hcd, KERNEL.guest_modules / "xen-hcd.ko"),
        dom0_args=args.dom0_args,
    )
    say(f"booting {args.name}: usbbk {options.usbbk or 'none'}, xen-hcd {options.xen_hcd or 'none'}")
    start = time.monotonic()
    lab = Lab(args.name).start(options, keep)
    say(f"dom0 is up after {time.monotonic() - start:.0f} s; logs in {lab.directory}")
    for slot in range(1, args.guests + 1):
        start_guest(lab, slot, args)
    return lab


def start_guest(lab: Lab, slot: int, args: argparse.Namespace) -> None:
    start = time.monotonic()
    guest = lab.guest(slot)
    guest.start(type=args.type, frontend=args.frontend)
    say(f"{guest.name} ({args.type}, domain {guest.domid}) is up after {time.monotonic() - start:.0f} s")


def run_all(domain, commands: list[str], timeout: float) -> int:
    for command in commands:
        result = domain.try_run(command, timeout)
        sys.stdout.buffer.write(result.raw)
        sys.stdout.flush()
        if result.status:
            return result.status
    return 0


def report(lab: Lab) -> int:
    """Quotes what the logs hold; the status that says so."""
    lab.flush_logs()
    findings = lab.trouble()
    for finding in findings:
        say(str(finding))
    return 3 if findings else 0


def running(name: str) -> Lab:
    lab = Lab(name)
    if not lab.running:
        raise LabError(f"no lab {name} is running; start one with lab-run --keep --name {name}")
    return lab


def target(lab: Lab, where: str):
    if where == "dom0":
        return lab.dom0
    if where.startswith("guest") and where[5:].isdigit():
        return Guest(lab.dom0, int(where[5:]))
    raise LabError(f"{where}: say dom0 or guest1 to guest{GUESTS}")


def main(args: argparse.Namespace) -> int:
    if args.list:
        for directory in sorted(paths.LABS.glob("*/options.json")):
            if Lab(directory.parent.name).running:
                print(directory.parent.name)
        return 0
    if args.stop:
        Lab(args.name).stop()
        return 0
    if args.logs:
        lab = running(args.name)
        print(lab.directory)
        return report(lab)
    if args.start:
        start_guest(running(args.name), args.start, args)
        return 0
    if args.to:
        domain = target(running(args.name), args.to)
        if args.push:
            domain.put(args.push[1], Path(args.push[0]).read_bytes())
        return run_all(domain, args.commands, args.timeout)
    if args.shell:
        return shell(args)
    lab = boot(args, args.keep)
    if args.keep:
        return run_all(lab.dom0, args.commands, args.timeout)
    with lab:
        return run_all(lab.dom0, args.commands, args.timeout) or report(lab)


def shell(args: argparse.Namespace) -> int:
    lab = Lab(args.name)
    if lab.running:
        terminal.attach(lab)
        say(f"{lab.name} goes on; lab-run --name {lab.name} --stop ends it")
        return 0
    args.guests = args.guests or 1
    with boot(args, keep=False) as lab:
        terminal.attach(lab)
    say(f"{lab.name} has ended; its logs are in {lab.directory}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(parser().parse_args()))
    except LabError as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
