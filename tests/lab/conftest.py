# SPDX-License-Identifier: GPL-2.0
"""Fixtures: one lab for the whole run, checked after every test.

A lab in which a test has failed, whose kernel has reported trouble, or that no
longer answers is thrown away with its logs kept; the next test gets a fresh
one, so that one fault fails one test. A failed test is not tidied up after.
"""

import os
import subprocess
import sys
import time
from random import randrange

import pytest

from lab import frontend as frontends
from lab import kernel_log, kmemleak, paths
from lab.counts import LONG, SHORT, WATCHED
from lab.driver_domain import DriverDomain
from lab.emulator_fault import KEEPER, blame_emulator, once_more
from lab.kernel import KERNEL
from lab.lab import Lab
from lab.machine import Options
from lab.parts import KASAN, PART_OF, PARTS
from lab.usbback import Usbback

# Debian's kernel has been built without KUnit and fault injection so far.
collect_ignore = [] if KERNEL.kunit else ["test_kunit.py"]
collect_ignore += [] if KERNEL.watches else ["test_faults.py"]
collect_ignore += [] if KERNEL.guest_type == "pvh" else ["test_kasan.py"]

PENDING = pytest.StashKey()
FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser):
    group = parser.getgroup("lab")
    group.addoption("--long", action="store_true", default=bool(os.environ.get("PVUSB_LONG")), help="full counts")
    group.addoption("--lab-name", default="check", help="name of the lab; its logs are in the cache's labs/NAME")
    group.addoption("--usbbk", default=str(KERNEL.modules / "usbbk.ko"), help="backend module under test")
    group.addoption("--xen-hcd", default=str(KERNEL.guest_modules / "xen-hcd.ko"), help="frontend module under test")

    group.addoption("--part", choices=PARTS, help="only the tests of one part")
    group.addoption("--frontend", choices=frontends.PEERS, default="ours", help="the guest's, for tests that do not say which")
    group.addoption("--seed", type=int, default=None, help="random numbers of tests that say which they used (default: others each time)")
    group.addoption("--pending", action="store_true", help="also tests that are known not to pass yet")


def pytest_collection_modifyitems(config, items):
    """Leaves out other parts, and what is known not to pass yet; the summary names it."""
    stray = {item.path.name for item in items} - set(PART_OF)
    if stray:
        raise pytest.UsageError(f"{', '.join(stray)}: belongs to no part; see parts.py")
    part = config.getoption("--part")
    if part:
        leave_out(config, items, [item for item in items if PART_OF[item.path.name] != part])
    leave_out(config, items, [item for item in items if is_second_kind(item) and item.callspec.params.get("frontend") == "stock"])
    if not config.getoption("--long"):
        leave_out(config, items, [item for item in items if item.get_closest_marker("full_counts")])
    if KERNEL.guest_type == "pvh":
        leave_out(config, items, [item for item in items if needs_pv(item)])
    if KERNEL.reduced:
        leave_out(config, items, [item for item in items if item.get_closest_marker("stock_kernel")])
        if not config.getoption("--long"):
            leave_out(config, items, further_rows(items))
    items.sort(key=lambda item: item.get_closest_marker("spoils") is not None)
    for item in items:
        item.add_marker(once_more)
    if not config.getoption("--pending"):
        config.stash[PENDING] = [item for item in items if item.get_closest_marker("pending")]
        leave_out(config, items, config.stash[PENDING])


def further_rows(items):
    """All rows but the first of each test: what a kernel that watches looks for shows in any."""
    first = {(item.path, item.originalname): item for item in reversed(items)}
    return [item for item in items if item not in first.values() and not item.get_closest_marker("each_row")]


def needs_pv(item):
    """Whether it wants a guest, or a driver in it, that a kernel with KASAN cannot be or does not have."""
    wants = item.callspec.params if hasattr(item, "callspec") else {}
    return item.path.stem.removeprefix("test_") not in KASAN or wants.get("guest_type") == "pv" or wants.get("frontend") == "stock"


def leave_out(config, items, unwanted):
    config.hook.pytest_deselected(items=unwanted)
    items[:] = [item for item in items if item not in unwanted]


def pytest_terminal_summary(terminalreporter, config):
    for item in config.stash.get(PENDING, []):
        reason = item.get_closest_marker("pending").args[0]
        terminalreporter.write_line(f"pending: {item.nodeid}: {reason}")


def pytest_configure(config):
    config.addinivalue_line("markers", "pending(reason): not part of make check yet, see --pending")
    config.addinivalue_line("markers", "full_counts(reason): only with --long")
    config.addinivalue_line("markers", "stock_kernel(reason): not for the debug kernel")
    config.addinivalue_line("markers", "each_row: on the debug kernel, too, all rows so marked run and not the first alone")
    config.addinivalue_line("markers", "covers(device, transfers, peer, domain): a row of the table of compatibility")
    config.addinivalue_line("markers", "spoils(what): runs last, for it leaves a lab without this; the test looks at the guests' logs itself")
    config.addinivalue_line("markers", "stock_cannot(what, cause): a limit of the kernel's C frontend, which the test does not try")
    config.addinivalue_line("markers", "expect_log(pattern): kernel log lines that this test provokes on purpose")


def names_kinds(test) -> bool:
    """Whether a test itself says in which kinds of guest it runs."""
    return any("guest_type" in mark.args[0].split(",") for mark in test.iter_markers("parametrize"))


def is_second_kind(test) -> bool:
    """Whether it is in a PVH guest because everything is tried there, too."""
    parameters = test.callspec.params if hasattr(test, "callspec") else {}
    return parameters.get("guest_type") == "pvh" and not names_kinds(test)


def pytest_generate_tests(metafunc):
    """At full counts, what works with our pair in one kind of guest is tried in the other one, too."""
    marks = [mark.kwargs for mark in metafunc.definition.iter_markers("covers")]
    ours = marks and not any("peer" in mark or "domain" in mark for mark in marks)
    if metafunc.config.getoption("--long") and ours and not names_kinds(metafunc.definition):
        metafunc.parametrize("guest_type", SLOTS)


@pytest.fixture(autouse=True)
def covered(request, record_property):
    """Notes what a test covers, for the table of compatibility: device class, transfers, peer, domain.

    And what of it the kernel's C frontend cannot do, and why.
    """
    for mark in request.node.iter_markers("covers"):
        device, transfers = mark.args
        peer = mark.kwargs.get("peer") or frontends.PEERS[request.getfixturevalue("frontend")]
        domain = mark.kwargs.get("domain") or request.getfixturevalue("guest_type").upper() + " guest"
        for transfer in transfers.split():
            record_property("covers", f"{device}|{transfer}|{peer}|{domain}")
    for mark in request.node.iter_markers("stock_cannot"):
        what, cause = mark.args
        record_property("cannot", f"{what}|{frontends.PEERS['stock']}|{cause}")


class Keeper:
    """Boots a lab when a test asks for one, and keeps it for the next tests."""

    def __init__(self, config):
        self._config = config
        self._lab: Lab | None = None
        self._generation = 0
        # When kmemleak has looked last, or begun.
        self.scanned = 0.0

    def lab(self) -> Lab:
        if self._lab is None:
            self._generation += 1
            name = self._config.getoption("--lab-name")
            # A lab that replaces a broken one must not overwrite the broken one's logs.
            lab = Lab(name if self._generation == 1 else f"{name}.{self._generation}")
            print(f"\nlab: booting; logs in {lab.directory}", file=sys.stderr, flush=True)
            options = Options(images=images(), usbbk=self._module("usbbk"), xen_hcd=self._module("xen-hcd"))
            self._lab = lab.start(options)
            if KERNEL.watches:
                kmemleak.forget(lab.dom0)
                self.scanned = time.monotonic()
        return self._lab

    def _module(self, option):
        path = paths.Path(self._config.getoption(f"--{option}"))
        if not path.is_file():
            pytest.exit(f"{path} is missing: run make, or name one with --{option}", returncode=2)
        return path

    @property
    def current(self) -> Lab | None:
        return self._lab

    def discard(self) -> None:
        if self._lab is not None:
            self._lab.stop()
            self._lab = None


def images():
    """The images' directory; made now if nobody has."""
    made = os.environ.get("PVUSB_LAB_IMAGES") or subprocess.run(
        [paths.TOP / "scripts/lab-image"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    return paths.Path(made)


@pytest.fixture(scope="session")
def keeper(pytestconfig):
    keeper = Keeper(pytestconfig)
    pytestconfig.stash[KEEPER] = keeper
    yield keeper
    keeper.discard()


# A look takes half a minute.
SCAN_EVERY_S = 600


@pytest.fixture(scope="module", autouse=True)
def no_leaks(keeper, request):
    """On the debug kernel: now and then, after a file of tests, nothing is lost in dom0 and the guests that live."""
    yield
    lab = keeper.current
    if lab is None or not KERNEL.watches:
        return
    if not ends(request) and time.monotonic() - keeper.scanned < SCAN_EVERY_S:
        return
    keeper.scanned = time.monotonic()
    found = lost(lab.dom0, *(lab.guest(slot) for slot in lab.dom0.linked_guests()))
    if found:
        keeper.discard()
        pytest.fail("\n".join(found), pytrace=False)


def ends(request) -> bool:
    """Whether the file is the last one before tests that take the lab with them, or at all."""
    items = request.session.items
    after = 1 + max(at for at, item in enumerate(items) if item.path == request.path)
    return after == len(items) or items[after].get_closest_marker("spoils") is not None


def lost(*domains) -> list[str]:
    """What kmemleak says of these, and which of them do not look any more."""
    return [text for domain in domains for text in kmemleak.leaks(domain) + kmemleak.asleep(domain)]


@pytest.fixture
def counts(request):
    """How often a test repeats: few times that fit a working day, or the full number.

    A second kind of guest that a test does not ask for gets few of them.
    """
    if request.config.getoption("--long") and not is_second_kind(request.node):
        return LONG
    return WATCHED if KERNEL.reduced else SHORT


@pytest.fixture
def seed(pytestconfig, record_property):
    """What a test's random numbers begin with; said, so that a run can be repeated."""
    given = pytestconfig.getoption("--seed")
    seed = randrange(1 << 32) if given is None else given
    print(f"--seed {seed}", flush=True)
    record_property("seed", seed)
    return seed


pytest_runtest_setup = blame_emulator
pytest_runtest_call = blame_emulator


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures know whether their test has failed."""
    report = yield
    # What has failed may be tried once more.
    before = item.stash.get(FAILED, False) and call.when != "setup"
    item.stash[FAILED] = before or report.failed
    return report


def failed(request) -> bool:
    return request.node.stash.get(FAILED, False)


@pytest.fixture
def lab(keeper, request):
    """The lab; no kernel in it may have complained since the test before this one, or the boot."""
    lab = keeper.lab()
    yield lab
    spoiled = request.node.get_closest_marker("spoils") is not None
    expected = kernel_log.expected_by(request.node)
    try:
        if not spoiled:
            lab.flush_logs()
        findings = lab.trouble(expected)
    except BaseException:
        findings = lab.trouble(expected)
        keeper.discard()
        quote(findings, "the lab no longer answers")
        raise
    if findings or failed(request) or spoiled:
        keeper.discard()
        quote(findings, "a kernel log holds what it must not")


def quote(findings, what):
    if findings:
        pytest.fail(f"{what}:\n" + "\n".join(str(finding) for finding in findings), pytrace=False)


@pytest.fixture
def dom0(lab):
    return lab.dom0


@pytest.fixture
def usbback(dom0, request):
    """The backend, loaded and without rules; what a test leaves there goes with it."""
    usbback = Usbback(dom0)
    usbback.load()
    yield usbback
    if not failed(request):
        usbback.clear()


# Both kinds can run at once, so that neither is booted anew for each test.
SLOTS = {"pv": 1, "pvh": 2} if KERNEL.guest_type == "pv" else {"pvh": 1}


@pytest.fixture
def guest_type():
    """Kind of guest; a test that matters for both is marked with every_pair, or names them."""
    return KERNEL.guest_type


@pytest.fixture
def guest(lab, guest_type, request):
    """A running guest, without a frontend module unless the test asks for `vusb`; kept for the next test if it lives."""
    alive = lab.dom0.domains()
    if "vusb" not in request.fixturenames:
        for guest in map(lab.guest, SLOTS.values()):
            if guest.name in alive:
                take_away(lab, guest)
    guest = lab.guest(SLOTS[guest_type])
    if guest.name not in alive:
        guest.start(type=guest_type)
    yield guest
    if not failed(request) and guest.alive:
        guest.run("umount -a -t ext4,vfat 2>/dev/null; if grep -q ^usbtest /proc/modules; then rmmod usbtest; fi")


@pytest.fixture
def server(dom0):
    """A driver domain with two controllers that serves other guests."""
    server = DriverDomain(dom0, 2)
    server.destroy()
    server.start()
    yield server.prepare(controllers=2)
    found = lost(server) if KERNEL.watches and server.alive else []
    server.destroy()
    assert not found, "\n".join(found)


@pytest.fixture
def frontend(pytestconfig):
    """The guest's frontend; a test that the C one can do too is marked with both_frontends."""
    return pytestconfig.getoption("--frontend")


# With scope="module" pytest puts those of a file that want the same one side by side, so that modules change seldom.
both_frontends = pytest.mark.parametrize("frontend", ["ours", "stock"], scope="module")
every_pair = pytest.mark.parametrize(
    "guest_type,frontend", [("pv", "ours"), ("pvh", "ours"), ("pv", "stock")], scope="module"
)


def take_away(lab, guest):
    """Removes the controller that an earlier test has left, and the guest's driver."""
    vusb = Usbback(lab.dom0).vusb(guest)
    if vusb.exists:
        vusb.remove()
    frontends.unload(guest)


@pytest.fixture
def vusb(lab, guest, usbback, frontend, request):
    """Virtual controller 0 of the guest, made as in 2009, served by us; without devices.

    It is kept for the next test, too.
    """
    vusb = usbback.vusb(guest)
    if not vusb.connected or frontends.loaded(guest) != frontend:
        take_away(lab, guest)
        frontends.connect(vusb, frontend)
    vusb.request_kib = frontends.limit(frontend)
    yield vusb
    if not failed(request) and guest.alive:
        usbback.clear()
        vusb.wait_empty()
