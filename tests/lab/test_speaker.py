# SPDX-License-Identifier: GPL-2.0
"""A sound card of QEMU, which records what it plays: the guest's sound beside dom0's, in one run."""

import pytest

from lab import audio
from lab.emulated import Speaker

# An emulated machine that runs late breaks the sound in dom0, too, a few times at
# random. As many in the guest, give or take what chance does, are none of ours.
CHANCE = 8
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
    dom0 = lab.dom0
    count = counts.played
    with Speaker(dom0, lab.monitor, controller) as speaker:
        dom0.run("modprobe snd-usb-audio")
        speaker.plug().wait_present()
        alone = play(lab, dom0, speaker.sysfs, speaker, count)
        usbback.add(vusb.rule(speaker.busname, 1))
        guest.run("modprobe snd-usb-audio")
        speaker.plug()
        through_us = play(lab, guest, vusb.wait_device(1), speaker, count)
    here, there = breaks(alone, count), breaks(through_us, count)
    text = f"{count} samples: dom0 {len(alone)} with {len(here)} breaks, guest {len(through_us)} with {len(there)}"
    record_property("played", text)
    print(text)
    sounds = [sample for sample in through_us if sample]
    assert sounds == sorted(set(sounds)), "repeated or out of order"
    assert len(there) <= len(here) + CHANCE, (text, there[:10])
