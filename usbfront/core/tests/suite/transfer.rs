// SPDX-License-Identifier: GPL-2.0

//! Cutting transfers into pieces, and laying pieces out in pages.

use proptest::prelude::*;
use usbfront_core::*;
use usbif::{Direction, MAX_INDIRECT, MAX_SEGMENTS, MAX_TRANSFER};

/// Sends everything and answers it in full, with at most 15 pieces in flight;
/// returns the pieces.
fn run(mut transfer: Transfer, fits: u32) -> Vec<(u32, u32)> {
    let mut pieces: Vec<(u32, u32)> = vec![];
    let mut answered = 0;
    while let Some((offset, limit)) = transfer.next_piece() {
        let length = transfer.cut(limit.min(fits)).unwrap();
        transfer.sent(length);
        pieces.push((offset, length));
        let depth = if transfer.direction() == Direction::In {
            0
        } else {
            15
        };
        while pieces.len() - answered > depth {
            let (offset, length) = pieces[answered];
            transfer.answered(offset, length, length, 0);
            answered += 1;
        }
    }
    for &(offset, length) in &pieces[answered..] {
        assert!(transfer.finished().is_none());
        transfer.answered(offset, length, length, 0);
    }
    let total: u32 = pieces.iter().map(|&(_, length)| length).sum();
    assert_eq!(transfer.finished(), Some((0, total)));
    pieces
}

proptest! {
    #[test]
    fn pieces_cover_the_buffer(
        length in 0..600_000u32,
        max_packet in prop::sample::select(vec![8u16, 64, 512, 1024]),
        fits in 1024..=MAX_TRANSFER,
        input: bool,
        zero: bool,
        indirect: bool,
    ) {
        let direction = if input { Direction::In } else { Direction::Out };
        let transfer = Transfer::new(Shape::Stream, direction, length, max_packet)
            .zero_packet(zero)
            .indirect(indirect);
        let most = if indirect { 2 * MAX_TRANSFER } else { MAX_TRANSFER };
        let pieces = run(transfer, if indirect { 2 * fits } else { fits });
        let mut at = 0;
        for &(offset, piece) in &pieces {
            prop_assert_eq!(offset, at);
            prop_assert!(piece <= most);
            at += piece;
            prop_assert!(at == length || piece % u32::from(max_packet) == 0);
        }
        prop_assert_eq!(at, length);
        let empty = pieces.iter().filter(|p| p.1 == 0).count();
        let wanted = zero && !input && length > 0 && length % u32::from(max_packet) == 0;
        prop_assert_eq!(empty, usize::from(wanted || length == 0));
    }

    #[test]
    fn plans_hide_neighbours(
        fragments in prop::collection::vec((0..4096u16, 1..=4096u16, any::<bool>()), 1..60),
        whole in prop::collection::vec(any::<bool>(), 60),
        limit in 1..=2 * MAX_TRANSFER,
        most in prop::sample::select(vec![MAX_SEGMENTS, MAX_INDIRECT]),
        trusted: bool,
        start in 0..100_000u32,
    ) {
        let fragments: Vec<_> = fragments
            .iter()
            .zip(&whole)
            .map(|(&(offset, length, linear), &whole)| Fragment {
                offset: if whole { 0 } else { offset },
                length: if whole { 4096 } else { length.min(4096 - offset) },
                memory: if linear { Memory::Linear } else { Memory::Other },
            })
            .collect();
        for cut in [limit / 3, limit] {
            invariants::plan::hides_neighbours(start, limit, most, trusted, &fragments, cut);
        }
    }
}
