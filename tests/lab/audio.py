# SPDX-License-Identifier: GPL-2.0
"""Records with a domain's ALSA what the simulated microphone counts, and plays such a count."""

import struct
from pathlib import Path

from lab.channel import Domain


def card(domain: Domain, device: str) -> str:
    """The number of the card that snd-usb-audio has made for the device of a sysfs directory."""
    path = domain.wait(f"ls -d {device}/*:*/sound/card*", 60, f"snd-usb-audio makes no card for {device}")
    return path.split()[0].rpartition("card")[2]


def record(domain: Domain, card: str, rate: int, count: int, scale: int) -> list[int]:
    """Samples of both channels as the numbers that they are together; the bus is `scale` times slow."""
    file = "/tmp/samples"
    # ALSA gives a read up after 1.1 times the buffer's length of real time, and
    # so must see a period in that, however slow the bus is.
    times = f"--buffer-time=2000000 --period-time={1_000_000 // scale}"
    domain.run(
        f"arecord -q {times} -D hw:{card},0 -t raw -f S16_LE -c 2 -r {rate} -s {count} {file}",
        60 + scale * count / rate,
    )
    try:
        data = domain.read(file)
    finally:
        domain.run(f"rm -f {file}")
    return [number for (number,) in struct.iter_unpack("<I", data)]


def play(domain: Domain, card: str, rate: int, samples: range) -> None:
    """Plays numbers as samples of both channels, as record() has them."""
    # A device that is told to stop forgets what it has not played: that may be silence.
    silence = bytes(4 * rate)
    domain.put("/tmp/samples", struct.pack(f"<{len(samples)}I", *samples) + silence)
    # The largest buffer, for a domain that does not run all the time.
    domain.run(
        f"aplay -q --buffer-time=2000000 -D hw:{card},0 -t raw -f S16_LE -c 2 -r {rate} /tmp/samples; rm /tmp/samples",
        60 + 4 * len(samples) / rate,
    )


def played(recording: Path) -> list[int]:
    """The samples of a WAV file, without the silence before and after."""
    data = recording.read_bytes()
    data = data[data.index(b"data") + 8 :]
    samples = [number for (number,) in struct.iter_unpack("<I", data[: len(data) & ~3])]
    sounds = [at for at, number in enumerate(samples) if number]
    return samples[sounds[0] : sounds[-1] + 1] if sounds else []
