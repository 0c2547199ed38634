// SPDX-License-Identifier: GPL-2.0

//! Isochronous packets as ranges of bytes: those that touch are copied as one.

/// Ranges (first byte, bytes), where those that follow each other without a gap
/// are one, and empty ones are none.
pub fn joined(ranges: impl Iterator<Item = (u32, u32)>) -> impl Iterator<Item = (u32, u32)> {
    Joined {
        ranges,
        held: (0, 0),
    }
}

struct Joined<I> {
    ranges: I,
    /// To be given out when the next one does not touch it; empty: none.
    held: (u32, u32),
}

impl<I: Iterator<Item = (u32, u32)>> Iterator for Joined<I> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<(u32, u32)> {
        for (first, length) in self.ranges.by_ref() {
            let (start, held) = self.held;
            if length == 0 {
                continue;
            }
            if held != 0 && start.checked_add(held) == Some(first) {
                self.held = (start, held.saturating_add(length));
                continue;
            }
            self.held = (first, length);
            if held != 0 {
                return Some((start, held));
            }
        }
        let last = core::mem::take(&mut self.held);
        Some(last).filter(|&(_, length)| length != 0)
    }
}
