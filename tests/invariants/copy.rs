// SPDX-License-Identifier: GPL-2.0

//! Pieces of a grant copy.

use crate::{wire, Choices};
use usbback_core::pieces;
use usbif::{Segment, Segments, MAX_SEGMENTS, PAGE_SIZE};

/// Sound segments by choice.
pub fn segments(choices: &mut Choices<'_>, most: usize) -> Segments {
    let mut out = Segments::EMPTY;
    let count = choices.int_in_range(0..=most).unwrap_or(0);
    for _ in 0..count {
        let length = choices.int_in_range(1..=PAGE_SIZE).unwrap_or(1);
        let offset = choices.int_in_range(0..=PAGE_SIZE - length).unwrap_or(0);
        let gref = choices.arbitrary::<u8>().unwrap_or(0).into();
        out.push(Segment {
            gref,
            offset,
            length,
        })
        .unwrap();
    }
    out
}

/// Byte by byte: each byte of the range once, in order, in the right place.
pub fn cover(segments: &Segments, from: u32, to: u32) {
    let bytes: Vec<(u32, u16)> = segments
        .as_slice()
        .iter()
        .flat_map(|s| (s.offset..s.offset + s.length).map(|at| (s.gref, at)))
        .collect();
    let mut at = from as usize;
    let mut count = 0;
    for piece in pieces(segments, from, to) {
        count += 1;
        assert!(piece.length > 0);
        assert!(piece.local + piece.length <= PAGE_SIZE);
        assert!(piece.foreign + piece.length <= PAGE_SIZE);
        for n in 0..piece.length {
            assert_eq!(bytes[at], (piece.gref, piece.foreign + n));
            assert_eq!(at, piece.page * 4096 + usize::from(piece.local + n));
            at += 1;
        }
    }
    let end = (to as usize).min(bytes.len()).max(from as usize);
    assert_eq!(at, end);
    // The room of the backend's batch.
    assert!(count <= 32);
}

/// Segments and a range by choice.
pub fn any(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let from = choices.int_in_range(0..=70_000).unwrap_or(0);
    let to = choices.int_in_range(0..=70_000).unwrap_or(0);
    let segments = segments(&mut choices, MAX_SEGMENTS);
    wire::segments(&segments);
    cover(&segments, from, to);
}
