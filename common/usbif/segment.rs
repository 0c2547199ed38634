// SPDX-License-Identifier: GPL-2.0

//! The granted memory of a request.

use crate::bytes::{put, u16_at, u32_at};
use crate::{MAX_INDIRECT, PAGE_SIZE};

/// Bytes of `struct xenusb_request_segment`.
pub(crate) const SEGMENT: usize = 8;

/// A part of one granted page: never empty, never beyond the page's end when it
/// comes out of [`Segments`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Grant reference of the page.
    pub gref: u32,
    /// First byte in the page.
    pub offset: u16,
    /// Bytes.
    pub length: u16,
}

impl Segment {
    pub(crate) fn is_sound(&self) -> bool {
        // Neither subtraction can be asked of a larger number: the first
        // comparison guards the second.
        self.length > 0
            && self.length <= PAGE_SIZE
            && self.offset <= PAGE_SIZE.saturating_sub(self.length)
    }

    pub(crate) fn read(entry: &[u8], at: usize) -> Self {
        Self {
            gref: u32_at(entry, at),
            offset: u16_at(entry, at.saturating_add(4)),
            length: u16_at(entry, at.saturating_add(6)),
        }
    }

    pub(crate) fn write(&self, entry: &mut [u8], at: usize) {
        put(entry, at, &self.gref.to_le_bytes());
        put(entry, at.saturating_add(4), &self.offset.to_le_bytes());
        put(entry, at.saturating_add(6), &self.length.to_le_bytes());
    }
}

/// A segment is impossible, or there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Up to [`MAX_INDIRECT`] sound segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    segments: [Segment; MAX_INDIRECT],
    count: u8,
}

impl Segments {
    /// No memory at all.
    pub const EMPTY: Self = Self {
        segments: [Segment {
            gref: 0,
            offset: 0,
            length: 0,
        }; MAX_INDIRECT],
        count: 0,
    };

    /// Appends a segment.
    ///
    /// # Errors
    /// [`TooMany`] if there are [`MAX_INDIRECT`] already, or the segment is empty
    /// or leaves its page.
    pub fn push(&mut self, segment: Segment) -> Result<(), TooMany> {
        if !segment.is_sound() {
            return Err(TooMany);
        }
        let place = self
            .segments
            .get_mut(usize::from(self.count))
            .ok_or(TooMany)?;
        *place = segment;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// The segments in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Segment] {
        self.segments.get(..self.len()).unwrap_or(&[])
    }

    /// Number of segments.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Sum of the lengths in bytes, at most a page for each.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.as_slice()
            .iter()
            .fold(0, |sum, s| sum.saturating_add(u32::from(s.length)))
    }
}

impl Default for Segments {
    fn default() -> Self {
        Self::EMPTY
    }
}
