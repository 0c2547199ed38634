// SPDX-License-Identifier: GPL-2.0

//! How far a URB has got: cutting it into requests that the ring can carry, and
//! adding up their answers.
//!
//! A request carries 16 pages at most, or 32 to a backend that takes indirect ones.
//! A longer bulk or interrupt transfer is
//! cut into pieces that are multiples of wMaxPacketSize, so that no piece but
//! the last ends in a short packet. IN pieces go out one at a time: the device
//! may end the transfer with any of them, and a piece that is already queued
//! would then swallow what follows, such as the status phase of mass storage.
//! OUT pieces may follow each other; if one fails on the wire, the host may have sent the
//! next by then. Control transfers are never cut.
//! Isochronous ones are cut between packets, and their pieces follow each other.

use usbif::{Direction, MAX_INDIRECT, MAX_SEGMENTS, PAGE_SIZE};

const EREMOTEIO: i32 = 121;
const ECONNRESET: i32 = 104;

/// What matters of a transfer's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Control: one request, whose data is wLength bytes.
    Control,
    /// Bulk or interrupt: a stream of packets that may be cut.
    Stream,
    /// Isochronous: a row of packets that may be cut.
    Isochronous,
}

/// The transfer of one URB.
///
/// Its length, and places and lengths of its pieces, are in bytes; those of an
/// isochronous transfer in packets. What has been moved is in bytes always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    shape: Shape,
    direction: Direction,
    short_not_ok: bool,
    /// A request without data is still to follow the data.
    zero_packet: bool,
    /// Nothing is left to be sent.
    sent_all: bool,
    in_flight: u8,
    length: u32,
    /// Most segments of a piece.
    segments: u8,
    max_packet: u32,
    /// First byte, or packet, that has not been sent.
    next: u32,
    /// Bytes that the pieces answered so far have moved together.
    moved: u32,
    /// First byte that a piece has not moved although it should: what is moved behind it
    /// does not follow. Pieces are answered in any order: xHCI's driver gives the one that
    /// it is at back last when all are taken back (`xhci_invalidate_cancelled_tds()`).
    edge: u32,
    /// Why it has ended.
    end: Option<i32>,
}

impl Transfer {
    /// A transfer of `length` bytes, or packets.
    #[must_use]
    pub const fn new(shape: Shape, direction: Direction, length: u32, max_packet: u16) -> Self {
        Self {
            shape,
            direction,
            short_not_ok: false,
            zero_packet: false,
            sent_all: false,
            in_flight: 0,
            length,
            segments: MAX_SEGMENTS as u8,
            // A descriptor of a broken device may say 0.
            max_packet: if max_packet == 0 {
                1
            } else {
                max_packet as u32
            },
            next: 0,
            moved: 0,
            edge: u32::MAX,
            end: None,
        }
    }

    /// To a backend that takes indirect requests: a stream may have larger pieces.
    #[must_use]
    pub const fn indirect(mut self, taken: bool) -> Self {
        if taken && matches!(self.shape, Shape::Stream) {
            self.segments = MAX_INDIRECT as u8;
        }
        self
    }

    /// Most segments of a piece.
    #[must_use]
    pub const fn most_segments(&self) -> usize {
        self.segments as usize
    }

    /// With URB_SHORT_NOT_OK: ending early is an error.
    #[must_use]
    pub const fn short_not_ok(mut self, set: bool) -> Self {
        self.short_not_ok = set;
        self
    }

    /// With URB_ZERO_PACKET: an OUT transfer that fills its last packet is
    /// followed by an empty one. The wire has no such flag, so an empty request
    /// does it.
    #[must_use]
    pub const fn zero_packet(mut self, set: bool) -> Self {
        let full = match self.length.checked_rem(self.max_packet) {
            Some(rest) => rest == 0,
            None => false,
        };
        self.zero_packet = set
            && full
            && self.length != 0
            && matches!(self.shape, Shape::Stream)
            && matches!(self.direction, Direction::Out);
        self
    }

    /// Type of the transfer.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Direction.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// Whether a piece must be marked as one that may not be short.
    #[must_use]
    pub const fn is_short_not_ok(&self) -> bool {
        self.short_not_ok
    }

    /// Whether requests are left to be sent.
    #[must_use]
    pub const fn unsent(&self) -> bool {
        !self.sent_all && self.end.is_none()
    }

    /// Requests that have not been answered.
    #[must_use]
    pub const fn in_flight(&self) -> u8 {
        self.in_flight
    }

    /// Bytes moved so far, from the first on without a gap; while pieces are in flight,
    /// as if those before the ones that were answered had been, too.
    #[must_use]
    pub fn moved(&self) -> u32 {
        self.moved.min(self.edge)
    }

    /// Place and greatest length of the piece that may be sent now; `None` when
    /// nothing is left or an answer has to come first.
    #[must_use]
    pub fn next_piece(&self) -> Option<(u32, u32)> {
        let must_wait = self.shape == Shape::Stream && self.direction == Direction::In;
        if !self.unsent() || (must_wait && self.in_flight > 0) {
            return None;
        }
        let left = self.length.saturating_sub(self.next);
        let limit = match self.shape {
            Shape::Stream => {
                left.min(u32::from(self.segments).saturating_mul(u32::from(PAGE_SIZE)))
            }
            Shape::Control | Shape::Isochronous => left,
        };
        Some((self.next, limit))
    }

    /// Length of the piece when only `fits` of it fits into a request: bytes in a
    /// multiple of the packet size, unless it is the last. 0 with data left, or
    /// less than all of what cannot be cut, is `None`: it cannot be sent.
    #[must_use]
    pub fn cut(&self, fits: u32) -> Option<u32> {
        let left = self.length.saturating_sub(self.next);
        if fits >= left {
            return Some(left);
        }
        let rest = match self.shape {
            Shape::Control => return None,
            Shape::Stream => fits.checked_rem(self.max_packet).unwrap_or(0),
            Shape::Isochronous => 0,
        };
        Some(fits.saturating_sub(rest)).filter(|&length| length > 0)
    }

    /// A piece of that length has been sent.
    pub fn sent(&mut self, length: u32) {
        // The empty request, the first of an empty transfer, or the last piece.
        let was_last = self.next >= self.length;
        self.in_flight = self.in_flight.saturating_add(1);
        self.next = self.next.saturating_add(length);
        if self.next >= self.length {
            self.sent_all = was_last || !self.zero_packet;
        }
    }

    /// A piece of that place and length was answered: it moved `actual` bytes, no more
    /// than it has, and ended with `status`.
    pub fn answered(&mut self, offset: u32, length: u32, actual: u32, status: i32) {
        self.in_flight = self.in_flight.saturating_sub(1);
        // Also of a transfer that was cancelled: what the device has sent by
        // then is the caller's.
        self.moved = self.moved.saturating_add(actual);
        // Each isochronous packet says itself how it went.
        let short = actual < length && self.shape != Shape::Isochronous;
        if short {
            self.edge = self.edge.min(offset.saturating_add(actual));
        }
        if status != 0 {
            self.fail(status);
        } else if short && self.short_not_ok {
            self.fail(-EREMOTEIO);
        } else if short {
            self.fail(0);
        }
    }

    /// The transfer shall end: nothing more is sent. The status that the caller
    /// of the unlink gave is kept by the core.
    pub fn cancel(&mut self) {
        self.fail(-ECONNRESET);
    }

    /// It cannot go on, for a reason of our own.
    pub fn fail(&mut self, status: i32) {
        self.end.get_or_insert(status);
    }

    /// Whether it has failed or was cancelled, finished or not.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.end.is_some_and(|status| status != 0)
    }

    /// Whether a piece in flight may not be followed by another URB's before it
    /// has been answered in full: that URB is to have what comes after.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.short_not_ok && self.shape == Shape::Stream && self.direction == Direction::In
    }

    /// Whether it has ended although requests are in flight, which then have to
    /// be unlinked.
    #[must_use]
    pub const fn ended_early(&self) -> bool {
        self.end.is_some() && self.in_flight > 0
    }

    /// Status and length for giving the URB back, when all is over.
    #[must_use]
    pub fn finished(&self) -> Option<(i32, u32)> {
        if self.in_flight > 0 || self.unsent() {
            return None;
        }
        Some((self.end.unwrap_or(0), self.moved()))
    }
}
