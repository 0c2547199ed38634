# SPDX-License-Identifier: GPL-2.0
"""A sound card of QEMU, which records what it plays: the guest's sound beside dom0's, in one run."""

import pytest

from lab import audio
from lab.emulated import Speaker

# An emulated machine that runs late breaks the sound in dom0, too, at random. So dom0
# and the guest play by turns: what breaks it always is ours, and fails all of them.
TURNS = 5
# Not silence, and not what a volume of 0 would make of it.
FIRST = 0x0001_0001


def breaks(samples, count):
    """Where the count is not the next one: something is lost, silent, repeated or out of order."""
    whole = [FIRST - 1, *samples, FIRST + count]
    return [(at, whole[at - 1], whole[at]) for at in range(1, len(whole)) if whole[at] != whole[at - 1] + 1]


def play(lab, domain, device, speaker, count):
    """Plays a count; returns what the card has played of it."""
    card = audio.card(domain, device)
    audio.play(domain, card, speaker.RATE, range(FIRST, FIRST + count))
    speaker.unplug()
    speaker.wait_absent()
    return audio.played(lab.machine.recording)


@pytest.mark.covers("speaker (UAC)", "isochronous control")
@pytest.mark.parametrize("controller", ["uhci", "xhci"])
def test_speaker(lab, guest, vusb, usbback, counts, controller, record_property):
    """The guest's sound has no more breaks than dom0's without us."""
    dom0 = lab.dom0
    count = counts.played
    dom0.run("modprobe snd-usb-audio")
    guest.run("modprobe snd-usb-audio")
    turns = []
    with Speaker(dom0, lab.monitor, controller) as speaker:
        rule = vusb.rule(speaker.busname, 1)
        while not turns or (turns[-1][1] > turns[-1][0] and len(turns) < TURNS):
            speaker.plug().wait_present()
            alone = play(lab, dom0, speaker.sysfs, speaker, count)
            usbback.add(rule)
            speaker.plug()
            through_us = play(lab, guest, vusb.wait_device(1), speaker, count)
            usbback.remove(rule)
            sounds = [sample for sample in through_us if sample]
            assert sounds == sorted(set(sounds)), "repeated or out of order"
            turns.append((len(breaks(alone, count)), len(breaks(through_us, count))))
            print(f"{count} samples: {turns[-1][0]} breaks in dom0, {turns[-1][1]} in the guest", flush=True)
    record_property("breaks in dom0 and in the guest", turns)
    here, there = turns[-1]
    assert there <= here, turns
