# SPDX-License-Identifier: GPL-2.0
"""Takes pictures with a domain's V4L2 and checks those of the simulated camera.

What a picture says about itself is told in tests/usbsim/frame.rs.
"""

import struct
import zlib

from lab.channel import Domain

SIZE = "width=160,height=120"
DESCRIPTION = struct.Struct("<4sIII")
# As many as V4L2 has, for a reader that is held up.
BUFFERS = 32
JPEG_START = b"\xff\xd8\xff\xfe\x00\x12"


def node(domain: Domain, device: str) -> str:
    """The capture node that uvcvideo has made for the device of a sysfs directory."""
    find = f"for v in {device}/*:*/video4linux/video*; do [ $(cat $v/index) = 0 ] && echo /dev/${{v##*/}}; done"
    return domain.wait(f"{find} | grep .", 60, f"uvcvideo makes no node for {device}").split()[0]


def capture(domain: Domain, node: str, pixels: str, rate: int, count: int, scale: int) -> bytes:
    """What v4l2-ctl writes for `count` pictures of a V4L2 pixel format, of a bus `scale` times slow."""
    file = "/tmp/pictures"
    domain.run(
        f"v4l2-ctl -d {node} --set-fmt-video={SIZE},pixelformat={pixels} && v4l2-ctl -d {node} --set-parm={rate} &&"
        f" v4l2-ctl -d {node} --stream-mmap={BUFFERS} --stream-count={count} --stream-to={file}",
        60 + scale * count / rate,
    )
    try:
        return domain.read(file)
    finally:
        domain.run(f"rm -f {file}")


def numbers(data: bytes) -> list[int]:
    """The pictures' numbers; every one must be whole and equal to what was sent."""
    found, at = [], 0
    while at < len(data):
        start = at + (len(JPEG_START) if data.startswith(JPEG_START, at) else 0)
        magic, number, length, checksum = DESCRIPTION.unpack_from(data, start)
        assert magic == b"USIM", f"no picture after number {found[-1:]}"
        rest = data[start + DESCRIPTION.size : at + length]
        assert zlib.crc32(rest) == checksum, f"picture {number} is damaged"
        found.append(number)
        at += length
    return found


def gaps(found: list[int]) -> list[tuple[int, int]]:
    """Neighbours that are not one apart."""
    return [(one, next) for one, next in zip(found, found[1:]) if next != one + 1]
