# SPDX-License-Identifier: GPL-2.0
"""init_xs.sh against XenStore tools that keep their store in a file.

The fake tools record every call that changes something, can fail at the n-th
of them, and can pause there so that a signal meets the script half-way.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/init_xs.sh"

# A node is a directory holding its value and permissions in two files. Shell,
# because a run of the script calls it some twenty times.
TOOL = r'''#!/bin/sh
name=${0##*/}
case $name in
*-*) verb=${name#*-} ;;
*) verb=$1; shift ;;
esac
root=$FAKE_XENSTORE/store
node=$root$1
fail() { echo "$*" >&2; exit 1; }
[ -z "$FAKE_DOWN" ] || fail "xs_open: no such file"

change() {
    echo "$verb $*" >>"$FAKE_XENSTORE/calls"
    count=0
    while read -r line; do count=$((count + 1)); done <"$FAKE_XENSTORE/calls"
    if [ "$count" = "$FAKE_PAUSE_AT" ]; then
        : >"$FAKE_XENSTORE/paused"
        sleep 0.5
    fi
    [ "$count" != "$FAKE_FAIL_AT" ] || fail "fake failure of call $count"
}

# A new node takes over its directory's permissions.
make() {
    [ ! -d "$1" ] || return 0
    make "${1%/*}"
    mkdir "$1"
    [ ! -e "${1%/*}/.perms" ] || cp "${1%/*}/.perms" "$1/.perms"
}

case $verb in
read)
    [ -d "$node" ] || fail "couldn't read path $1"
    value=
    [ ! -e "$node/.value" ] || read -r value <"$node/.value"
    echo "$value"
    ;;
list)
    [ -d "$node" ] || fail "could not list $1"
    for child in "$node"/*; do
        [ ! -d "$child" ] || echo "${child##*/}"
    done
    ;;
write)
    change "$@"
    while [ $# -gt 0 ]; do
        make "$root$1"
        value=$2
        # A backend that closes as soon as it is told to.
        case $1/$2/$FAKE_DEAF in */backend/*/state/5/) value=6 ;; esac
        echo "$value" >"$root$1/.value"
        shift 2
    done
    ;;
chmod)
    change "$@"
    [ -d "$node" ] || fail "could not change permissions of $1"
    shift
    echo "$*" >"$node/.perms"
    ;;
rm)
    change "$@"
    [ -d "$node" ] || fail "could not remove $1"
    rm -r "$node"
    ;;
*) fail "what is $verb?" ;;
esac
'''

FRONT = "/local/domain/1/device/vusb/0"
BACK = "/local/domain/0/backend/vusb/1/0"


def text(file):
    return file.read_text().strip() if file.exists() else ""


def heed_signals():
    """A run in the background ignores some, and a shell cannot trap what it was started to ignore."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class XenStore:
    """The fake tools, their store, and a way to run the script on them."""

    def __init__(self, home):
        self.home = home
        self.bin = home / "bin"
        self.bin.mkdir()
        for domid in "015":
            self.put(f"/local/domain/{domid}")

    def install(self, *names):
        for name in names:
            (self.bin / name).write_text(TOOL)
            (self.bin / name).chmod(0o755)

    @property
    def nodes(self):
        """Every node's value and permissions, by path."""
        store = self.home / "store"
        return {
            f"/{node.relative_to(store)}": (text(node / ".value"), text(node / ".perms"))
            for node in sorted(store.rglob("*")) if node.is_dir()
        }

    def put(self, path, value=""):
        node = self.home / "store" / path.lstrip("/")
        node.mkdir(parents=True, exist_ok=True)
        (node / ".value").write_text(value + "\n")

    def drop(self, path):
        shutil.rmtree(self.home / "store" / path.lstrip("/"))

    @property
    def calls(self):
        calls = self.home / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def forget_calls(self):
        (self.home / "calls").unlink(missing_ok=True)

    def start(self, *args, **fake):
        env = dict(os.environ, PATH=f"{self.bin}:{os.environ['PATH']}",
                   FAKE_XENSTORE=str(self.home), **{k: str(v) for k, v in fake.items()})
        return subprocess.Popen([SCRIPT, *args], env=env, text=True, preexec_fn=heed_signals,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *args, **fake):
        process = self.start(*args, **fake)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)


VERBS = [f"xenstore-{verb}" for verb in ("read", "list", "write", "chmod", "rm")]


@pytest.fixture
def bare(tmp_path):
    if shutil.which("xenstore-read") or shutil.which("xenstore"):
        pytest.skip("real XenStore tools would be found here")
    return XenStore(tmp_path)


@pytest.fixture
def xenstore(tmp_path):
    made = XenStore(tmp_path)
    made.install(*VERBS)
    return made


def nodes_of_2009(ports=8, back="0"):
    """What the script of 2009 leaves behind: value, owner and reader of each node."""
    backend = f"/local/domain/{back}/backend/vusb/1/0"
    front, behind = f"n1 r{back}", f"n{back} r1"
    return {
        FRONT: ("", front),
        f"{FRONT}/backend-id": (back, front),
        f"{FRONT}/backend": (backend, front),
        f"{FRONT}/state": ("1", front),
        backend: ("", behind),
        f"{backend}/frontend-id": ("1", behind),
        f"{backend}/frontend": (FRONT, behind),
        f"{backend}/num-ports": (str(ports), behind),
        **{f"{backend}/port-{n}": ("0", behind) for n in range(1, ports + 1)},
        f"{backend}/state": ("1", behind),
    }


def made(xenstore):
    """The vusb's nodes, without the directories above them."""
    return {path: node for path, node in xenstore.nodes.items() if re.search(r"vusb/0(/|$)|vusb/1/0(/|$)", path)}


def test_the_nodes_of_2009(xenstore):
    done = xenstore.run("1", "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert made(xenstore) == nodes_of_2009()


def test_each_state_comes_when_all_else_is_there(xenstore):
    assert xenstore.run("1", "0").returncode == 0
    *rest, front, back = xenstore.calls
    assert (front, back) == (f"write {FRONT}/state 1", f"write {BACK}/state 1")
    assert not any("state" in call for call in rest)


def test_the_multi_call_tool_does_the_same(bare):
    bare.install("xenstore")
    assert bare.run("1", "0").returncode == 0
    assert made(bare) == nodes_of_2009()


def test_a_driver_domain(xenstore):
    assert xenstore.run("--backend", "5", "1", "0").returncode == 0
    assert made(xenstore) == nodes_of_2009(back="5")


def test_options_may_follow_and_use_an_equals_sign(xenstore):
    assert xenstore.run("1", "0", "--ports=31", "--backend=5").returncode == 0
    assert made(xenstore) == nodes_of_2009(ports=31, back="5")


@pytest.mark.parametrize("version", ["1", "2"])
def test_usb_ver_is_written_on_request_only(xenstore, version):
    assert xenstore.run("--usb-ver", version, "1", "0").returncode == 0
    assert made(xenstore) == {**nodes_of_2009(), f"{BACK}/usb-ver": (version, "n0 r1")}


@pytest.mark.parametrize("args", [
    (), ("1",), ("1", "0", "0"), ("x", "0"), ("-1", "0"), ("1", "x"), ("01", "0"), ("1", "00"),
    ("", "0"), ("1", ""), ("1 ", "0"), ("0x1", "0"), ("32752", "0"), ("1", "65536"),
    ("99999999999999999999", "0"), ("1/../2", "0"),
    ("--ports", "0", "1", "0"), ("--ports", "32", "1", "0"), ("--ports", "", "1", "0"),
    ("1", "0", "--ports"), ("--usb-ver", "3", "1", "0"), ("--usb-ver=0", "1", "0"),
    ("--backend", "32752", "1", "0"), ("--backend=x", "1", "0"), ("--timeout=601", "1", "0"),
    ("--colour", "1", "0"), ("-x", "1", "0"),
])
def test_wrong_arguments_change_nothing(xenstore, args):
    done = xenstore.run(*args)
    assert done.returncode == 1
    assert done.stderr and not done.stdout
    assert xenstore.calls == []


def test_help_needs_no_tools(bare):
    done = bare.run("--help")
    assert done.returncode == 0
    for word in ("--backend", "--ports", "--usb-ver", "--remove", "--timeout", "Exit status"):
        assert word in done.stdout


def test_missing_tools_are_named(bare):
    bare.install("xenstore-read", "xenstore-write")
    done = bare.run("1", "0")
    assert done.returncode == 2
    assert "xenstore-chmod" in done.stderr and "xenstore-utils" in done.stderr
    assert "xenstore-write" not in done.stderr


def test_a_xenstore_that_does_not_answer(xenstore):
    done = xenstore.run("1", "0", FAKE_DOWN=1)
    assert done.returncode == 2
    assert "does not answer" in done.stderr


def test_a_guest_that_does_not_exist(xenstore):
    done = xenstore.run("7", "0")
    assert (done.returncode, xenstore.calls) == (3, [])
    assert "no domain 7" in done.stderr


def test_a_backend_domain_that_does_not_exist(xenstore):
    done = xenstore.run("--backend", "7", "1", "0")
    assert (done.returncode, xenstore.calls) == (3, [])
    assert "no backend domain 7" in done.stderr


@pytest.mark.parametrize("there", [FRONT, BACK, "/libxl/1/device/vusb/0"])
def test_a_vusb_that_exists(xenstore, there):
    xenstore.put(there)
    done = xenstore.run("1", "0")
    assert (done.returncode, xenstore.calls) == (4, [])
    assert there in done.stderr


def test_a_second_vusb_beside_the_first(xenstore):
    assert xenstore.run("1", "0").returncode == 0
    assert xenstore.run("1", "1").returncode == 0
    assert xenstore.run("--remove", "1", "1").returncode == 0
    assert f"{BACK}/state" in xenstore.nodes
    assert not any("vusb/1/1" in node or node.endswith("vusb/1/1") for node in xenstore.nodes)


# Two directories at once, their permissions, what is in them at once, two states.
STEPS = 6


def test_the_steps(xenstore):
    assert xenstore.run("1", "0").returncode == 0
    assert len(xenstore.calls) == STEPS


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_failing_step_is_undone(xenstore, at):
    before = xenstore.nodes
    done = xenstore.run("--ports=2", "--usb-ver=1", "1", "0", FAKE_FAIL_AT=at)
    assert done.returncode == 5
    assert "nothing of it is left" in done.stderr
    assert xenstore.nodes == before


def test_undo_leaves_directories_that_were_there(xenstore):
    xenstore.put("/local/domain/0/backend/vusb/1")
    xenstore.put("/local/domain/1/device/vusb/3/state", "4")
    before = xenstore.nodes
    assert xenstore.run("1", "0", FAKE_FAIL_AT=5).returncode == 5
    assert xenstore.nodes == before


@pytest.mark.parametrize("number,status", [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("at", [1, 4, STEPS])
def test_an_interrupted_run_is_undone(xenstore, number, status, at):
    before = xenstore.nodes
    process = xenstore.start("--ports=2", "--usb-ver=1", "1", "0", FAKE_PAUSE_AT=at)
    deadline = time.monotonic() + 30
    while not (xenstore.home / "paused").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status, err
    assert xenstore.nodes == before


def test_remove_is_orderly(xenstore):
    before = xenstore.nodes
    assert xenstore.run("1", "0").returncode == 0
    xenstore.put(f"{BACK}/state", "4")
    xenstore.forget_calls()
    done = xenstore.run("--remove", "1", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert xenstore.calls[:4] == [
        f"write {BACK}/online 0", f"write {BACK}/state 5", f"rm {FRONT}", f"rm {BACK}"]
    left = set(xenstore.nodes) - set(before)
    assert not any("vusb/" in node for node in left)


@pytest.mark.parametrize("state", ["1", "6", None])
def test_remove_waits_for_nobody_where_nobody_serves(xenstore, state):
    assert xenstore.run("1", "0").returncode == 0
    if state is None:
        xenstore.drop(f"{BACK}/state")
    else:
        xenstore.put(f"{BACK}/state", state)
    xenstore.forget_calls()
    assert xenstore.run("--remove", "1", "0", FAKE_DEAF=1).returncode == 0
    assert xenstore.calls[:2] == [f"rm {FRONT}", f"rm {BACK}"]


def test_remove_by_force_when_the_backend_is_deaf(xenstore):
    assert xenstore.run("1", "0").returncode == 0
    xenstore.put(f"{BACK}/state", "4")
    done = xenstore.run("--remove", "--timeout=1", "1", "0", FAKE_DEAF=1)
    assert done.returncode == 6
    assert "did not close" in done.stderr
    assert BACK not in xenstore.nodes and FRONT not in xenstore.nodes


def test_remove_after_the_guest_has_gone(xenstore):
    xenstore.put(f"{BACK}/state", "4")
    xenstore.drop("/local/domain/1")
    assert xenstore.run("--remove", "1", "0", FAKE_DEAF=1).returncode == 0
    assert BACK not in xenstore.nodes


def test_remove_what_is_not_there(xenstore):
    done = xenstore.run("--remove", "1", "0")
    assert (done.returncode, xenstore.calls) == (4, [])
    assert "no vusb 0" in done.stderr


def test_remove_leaves_to_xl_what_xl_made(xenstore):
    xenstore.put("/libxl/1/device/vusb/0/type", "pv")
    xenstore.put(f"{BACK}/state", "4")
    done = xenstore.run("--remove", "1", "0")
    assert (done.returncode, xenstore.calls) == (4, [])
    assert "xl usbctrl-detach 1 0" in done.stderr


def test_remove_names_the_backend_that_was_forgotten(xenstore):
    assert xenstore.run("--backend=5", "1", "0").returncode == 0
    xenstore.forget_calls()
    done = xenstore.run("--remove", "1", "0")
    assert (done.returncode, xenstore.calls) == (4, [])
    assert "--backend 5" in done.stderr
    assert xenstore.run("--remove", "--backend=5", "1", "0").returncode == 0


def test_remove_can_be_repeated_when_a_step_fails(xenstore):
    assert xenstore.run("1", "0").returncode == 0
    xenstore.forget_calls()
    assert xenstore.run("--remove", "1", "0", FAKE_FAIL_AT=2).returncode == 5
    assert xenstore.run("--remove", "1", "0").returncode == 0
    assert BACK not in xenstore.nodes
