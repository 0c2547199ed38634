// SPDX-License-Identifier: GPL-2.0

//! A transfer's data as grant copies: segments of the guest's pages on one
//! side, the pages of a slot on the other, cut so that no piece crosses a page
//! on either.

use usbif::{Segment, Segments, PAGE_SIZE};

/// One copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The guest's page.
    pub gref: u32,
    /// First byte in the guest's page.
    pub foreign: u16,
    /// Which page of the slot.
    pub page: usize,
    /// First byte in it.
    pub local: u16,
    /// Bytes, at least 1.
    pub length: u16,
}

/// The pieces of bytes `from..to` of the data that `segments` hold; byte `n` of
/// the data is byte `n` of the slot's memory. Less, if the segments end before.
#[must_use]
pub fn pieces(segments: &Segments, from: u32, to: u32) -> Pieces<'_> {
    Pieces {
        segments: segments.as_slice(),
        start: 0,
        at: from,
        to,
    }
}

/// Iterator of [`pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    /// Those not passed yet.
    segments: &'a [Segment],
    /// Where the first of them starts in the data.
    start: u32,
    /// Where the next piece starts in the data.
    at: u32,
    /// Where the last one ends.
    to: u32,
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let page_size = u32::from(PAGE_SIZE);
        loop {
            let left = self.to.checked_sub(self.at).filter(|&left| left > 0)?;
            let (segment, rest) = self.segments.split_first()?;
            let length = u32::from(segment.length);
            let into = self.at.checked_sub(self.start)?;
            let Some(here) = length.checked_sub(into).filter(|&here| here > 0) else {
                self.start = self.start.checked_add(length)?;
                self.segments = rest;
                continue;
            };
            let local = self.at.checked_rem(page_size)?;
            let page = self.at.checked_div(page_size)?;
            let length = left.min(here).min(page_size.checked_sub(local)?);
            self.at = self.at.checked_add(length)?;
            // All fit: a segment does not leave its page.
            return Some(Piece {
                gref: segment.gref,
                foreign: segment.offset.checked_add(u16::try_from(into).ok()?)?,
                page: usize::try_from(page).ok()?,
                local: u16::try_from(local).ok()?,
                length: u16::try_from(length).ok()?,
            });
        }
    }
}
