// SPDX-License-Identifier: GPL-2.0

//! Which parts of a piece are granted where they lie, and which are copied.
//!
//! A grant opens a whole page. So a page is granted in place only when the URB
//! fills it: what else lies in a page that it shares with others is nobody's
//! business in the other domain, and must not be written there either. The
//! rest goes through bounce pages, which hold nothing but such data.

use usbif::{MAX_INDIRECT, PAGE_SIZE};

/// Where a fragment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// In a page that can be granted.
    Linear,
    /// In memory that cannot: not in the kernel's linear map.
    Other,
}

/// A stretch of a URB's buffer that lies in one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// First byte, counted in the page.
    pub offset: u16,
    /// Bytes.
    pub length: u16,
    /// Kind of memory.
    pub memory: Memory,
}

/// One segment of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Grant the page of the buffer; else copy through the bounce page that has
    /// the part's number.
    pub in_place: bool,
    /// First byte, counted in the URB's buffer.
    pub at: u32,
    /// First byte in the page that the other domain is given.
    pub offset: u16,
    /// Bytes, 1..=4096.
    pub length: u16,
}

/// The segments of one request.
#[derive(Debug, Default)]
pub struct Plan {
    parts: [Part; MAX_INDIRECT],
    count: u8,
    /// Most of them.
    most: u8,
    total: u32,
}

impl Plan {
    /// Lays out at most `limit` bytes of a buffer in at most `most` parts, from byte
    /// `start` on; its fragments from there on are given in order. Without
    /// `trusted`, nothing is granted in place. What was planned before is forgotten.
    ///
    /// What comes out may hold less, but not nothing unless there is nothing.
    pub fn lay_out(
        &mut self,
        start: u32,
        limit: u32,
        most: usize,
        trusted: bool,
        fragments: impl Iterator<Item = Fragment>,
    ) {
        self.clear();
        self.most = u8::try_from(most).unwrap_or(u8::MAX);
        for fragment in fragments {
            let room = limit.saturating_sub(self.total);
            if room == 0 {
                break;
            }
            let whole = fragment.offset == 0 && fragment.length == PAGE_SIZE;
            let in_place = trusted && whole && fragment.memory == Memory::Linear;
            let wanted = u32::from(fragment.length).min(room) as u16;
            let done = if in_place {
                self.grant(start, wanted)
            } else {
                self.bounce(start, wanted)
            };
            if done < wanted {
                break;
            }
        }
    }

    /// Plans nothing.
    pub fn clear(&mut self) {
        self.count = 0;
        self.total = 0;
    }

    /// Parts in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        self.parts
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    /// Bytes of all parts.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Drops what is beyond `total` bytes.
    pub fn truncate(&mut self, total: u32) {
        while self.total > total {
            let Some(last) = self.count.checked_sub(1) else {
                return;
            };
            let Some(part) = self.parts.get_mut(usize::from(last)) else {
                return;
            };
            let excess = self.total.saturating_sub(total);
            let cut = u32::from(part.length).min(excess);
            part.length = u32::from(part.length).saturating_sub(cut) as u16;
            if part.length == 0 {
                self.count = last;
            }
            self.total = self.total.saturating_sub(cut);
        }
    }

    fn add(&mut self, part: Part) -> u16 {
        if self.count >= self.most {
            return 0;
        }
        let Some(place) = self.parts.get_mut(usize::from(self.count)) else {
            return 0;
        };
        *place = part;
        self.count = self.count.saturating_add(1);
        self.total = self.total.saturating_add(u32::from(part.length));
        part.length
    }

    fn grant(&mut self, start: u32, length: u16) -> u16 {
        self.add(Part {
            in_place: true,
            at: start.saturating_add(self.total),
            offset: 0,
            length,
        })
    }

    /// Fills up the last bounce page, then begins another: neighbours in the
    /// buffer share one.
    fn bounce(&mut self, start: u32, length: u16) -> u16 {
        let mut left = length;
        let last = self.count.checked_sub(1).map(usize::from);
        if let Some(part) = last.and_then(|last| self.parts.get_mut(last)) {
            if !part.in_place {
                let more = left.min(PAGE_SIZE.saturating_sub(part.length));
                part.length = part.length.saturating_add(more);
                self.total = self.total.saturating_add(u32::from(more));
                left = left.saturating_sub(more);
            }
        }
        if left > 0 {
            let added = self.add(Part {
                in_place: false,
                at: start.saturating_add(self.total),
                offset: 0,
                length: left,
            });
            left = left.saturating_sub(added);
        }
        length.saturating_sub(left)
    }
}
