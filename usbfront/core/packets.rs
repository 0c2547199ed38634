// SPDX-License-Identifier: GPL-2.0

//! The packets of an isochronous request.
//!
//! All data goes through bounce pages, packet after packet without gaps,
//! wherever the packets lie in the URB's buffer: so a backend reads no byte
//! between them, and what it says to have received is copied to each packet's
//! own place, and no further. One page more holds the packets' descriptors,
//! which the backend completes; its copy of them is read once and compared with
//! what was asked for.

use usbif::{IsoDescriptor, MAX_SEGMENTS, PAGE_SIZE};

/// Data pages of a request; one segment is left for the descriptors.
pub const DATA_PAGES: usize = MAX_SEGMENTS - 1;
/// Most bytes of a request.
pub const MOST_BYTES: u32 = DATA_PAGES as u32 * PAGE_SIZE as u32;
/// Most packets of a request: their descriptors fill a page.
pub const MOST_PACKETS: u32 = PAGE_SIZE as u32 / IsoDescriptor::SIZE as u32;

/// -EXDEV: a packet that has not been transferred, as usb_submit_urb() has it.
const NOT_DONE: i32 = -18;

/// Packets that one request carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Number of packets, at most [`MOST_PACKETS`].
    pub packets: u32,
    /// Their bytes, at most [`MOST_BYTES`].
    pub bytes: u32,
}

impl Run {
    /// As many packets, of the given lengths in bytes, as a request holds. None
    /// at all if the first is too long.
    #[must_use]
    pub fn longest(lengths: impl Iterator<Item = u32>) -> Self {
        let mut run = Self::default();
        for length in lengths {
            let bytes = run.bytes.saturating_add(length);
            if bytes > MOST_BYTES || run.packets >= MOST_PACKETS {
                break;
            }
            run.bytes = bytes;
            run.packets = run.packets.saturating_add(1);
        }
        run
    }
}

/// Gives the packets of a request their places in its data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    next: u32,
}

impl Places {
    /// The descriptor to send for the next packet, which has `length` bytes.
    /// What the backend leaves as it is counts as not transferred.
    pub fn place(&mut self, length: u32) -> IsoDescriptor {
        let offset = self.next;
        self.next = offset.saturating_add(length);
        IsoDescriptor {
            offset,
            length,
            actual_length: 0,
            status: NOT_DONE,
        }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes moved, no more than the packet has.
    pub actual_length: u32,
    /// 0 or a negative errno that a host controller reports.
    pub status: i32,
}

/// What the backend says of a packet; `None`: it is not the packet that was
/// asked for, or has moved more bytes than there are.
#[must_use]
pub fn outcome(asked: &IsoDescriptor, answered: &IsoDescriptor) -> Option<Outcome> {
    let same = (asked.offset, asked.length) == (answered.offset, answered.length);
    (same && answered.actual_length <= asked.length).then_some(Outcome {
        actual_length: answered.actual_length,
        status: answered.status,
    })
}

/// A part of a request's data that lies in one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Number of the page, below [`DATA_PAGES`].
    pub page: usize,
    /// First byte in it.
    pub offset: u16,
    /// Bytes, at least 1.
    pub length: u16,
}

/// The parts that hold `length` bytes of the data, from byte `from` on.
#[must_use]
pub fn spans(from: u32, length: u32) -> Spans {
    Spans {
        at: from,
        end: from.saturating_add(length).min(MOST_BYTES),
    }
}

/// Iterator of [`spans`].
#[derive(Clone, Debug)]
pub struct Spans {
    at: u32,
    end: u32,
}

impl Iterator for Spans {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let size = u32::from(PAGE_SIZE);
        let left = self.end.checked_sub(self.at).filter(|&left| left > 0)?;
        let offset = self.at.checked_rem(size)?;
        let page = self.at.checked_div(size)?;
        let length = left.min(size.checked_sub(offset)?);
        self.at = self.at.checked_add(length)?;
        Some(Span {
            page: usize::try_from(page).ok()?,
            offset: u16::try_from(offset).ok()?,
            length: u16::try_from(length).ok()?,
        })
    }
}
