# SPDX-License-Identifier: GPL-2.0
"""The rule table as an administrator meets it: what it takes and what it refuses."""

from lab.usbback import DRIVER

GOOD = "9-1.2:4711:0:1"
MALFORMED = [
    b"\n", b" ", b":", b":::", b"::::", b"\0", b"1-1", b"1-1:1", b"1-1:1:0", b"1-1:1:0:", b"1-1:1:0:1:", b"1-1:1:0:1:1",
    b":1:0:1", b"1-1::0:1", b"1-1:1::1", b"1-1:1:0:0", b"1-1:1:0:32", b"1-1:1:0:-1", b"1-1:1:0:1x", b"1-1:1:0:0x1",
    b"1-1:-1:0:1", b"1-1:65536:0:1", b"1-1:4294967297:0:1", b"1-1:99999999999999999999:0:1", b"1-1:1:-1:1", b"1-1:one:0:1",
    b"1:1:0:1", b"-1:1:0:1", b"1-:1:0:1", b"1-1.:1:0:1", b"1-.1:1:0:1", b"1-1..2:1:0:1", b"1-0:1:0:1", b"0-1:1:0:1",
    b"usb1:1:0:1", b"1-1:1.0:1:0:1", b" 1-1 :1:0:1", b"1-1 1:0:1", b"1-1:1:0:1\n2-1:1:0:2\n", b"../1-1:1:0:1",
    b"1-1:1:0:1\0\0\0", b"\xff\xfe\xfd\xfc", b"1-1.1.1.1.1.1.1.1.1:1:0:1", b"1-" + b"9" * 200 + b":1:0:1", b"1" * 4000,
]  # fmt: skip


def test_malformed_lines(usbback):
    assert len(MALFORMED) >= 40
    usbback.add(GOOD)
    results = usbback.write("new_vport", *MALFORMED)
    wrong = [(line[:60], result) for line, result in zip(MALFORMED, results, strict=True) if result != "EINVAL"]
    assert wrong == []
    assert usbback.rules() == [GOOD]


def test_malformed_removal(usbback):
    usbback.add(GOOD)
    assert set(usbback.write("remove_vport", *MALFORMED)) == {"EINVAL"}
    assert usbback.rules() == [GOOD]


def test_duplicates(usbback):
    """A busname has one owner, a port has one device."""
    usbback.add(GOOD)
    same, same_busname, same_port = GOOD, "9-1.2:4711:0:2", "9-1.3:4711:0:1"
    assert usbback.write("new_vport", same, same_busname, same_port) == ["EEXIST"] * 3
    assert usbback.rules() == [GOOD]


def test_removing_what_is_not_there(usbback):
    usbback.add(GOOD)
    assert usbback.write("remove_vport", "9-1.2:4711:0:2", "9-1.3:4711:0:1", "8-1:1:0:1") == ["ENOENT"] * 3
    assert usbback.rules() == [GOOD]


def test_with_and_without_newline(usbback):
    assert usbback.write("new_vport", "9-1:4711:0:1", "9-2:4711:0:2\n") == ["OK", "OK"]
    assert usbback.rules() == ["9-1:4711:0:1", "9-2:4711:0:2"]
    assert usbback.write("remove_vport", "9-1:4711:0:1\n", "9-2:4711:0:2") == ["OK", "OK"]


def test_a_thousand_rules(usbback, counts):
    """More than a page of text: all are shown, each can go."""
    rules = [f"{100 + n // 100}-{n % 10 + 1}.{n // 10 % 10 + 1}:{5000 + n // 31}:0:{n % 31 + 1}" for n in range(counts.rules)]
    assert usbback.write("new_vport", *rules) == ["OK"] * counts.rules
    shown = usbback.rules()
    assert sorted(shown) == sorted(rules)
    # Small reads at odd offsets must give the same text.
    pieces = usbback.dom0.run(f"dd if={DRIVER}/vports bs=37 2>/dev/null | md5sum; cat {DRIVER}/vports | md5sum").split()
    assert pieces[0] == pieces[2]
    assert usbback.write("remove_vport", *rules[::2]) == ["OK"] * len(rules[::2])
    assert sorted(usbback.rules()) == sorted(rules[1::2])
    assert usbback.write("remove_vport", *rules[1::2]) == ["OK"] * len(rules[1::2])
    assert usbback.rules() == []
