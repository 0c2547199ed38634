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
            let (_, length) = pieces[answered];
            transfer.answered(length, length, 0);
            answered += 1;
        }
    }
    for &(_, length) in &pieces[answered..] {
        assert!(transfer.finished().is_none());
        transfer.answered(length, length, 0);
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

#[test]
fn mass_storage_request_of_120_kib() {
    let transfer = Transfer::new(Shape::Stream, Direction::In, 120 * 1024, 512);
    assert_eq!(
        run(transfer, MAX_TRANSFER),
        [(0, 65536), (65536, 120 * 1024 - 65536)]
    );
    assert_eq!(
        run(transfer.indirect(true), 2 * MAX_TRANSFER),
        [(0, 120 * 1024)]
    );
}

#[test]
fn a_short_piece_ends_a_transfer() {
    let mut transfer = Transfer::new(Shape::Stream, Direction::In, 200_000, 512).short_not_ok(true);
    transfer.sent(65_536);
    assert!(transfer.next_piece().is_none(), "not before the answer");
    transfer.answered(65_536, 65_536, 0);
    assert_eq!(transfer.next_piece(), Some((65_536, 65_536)));
    transfer.sent(65_536);
    transfer.answered(65_536, 100, 0);
    assert!(transfer.next_piece().is_none());
    assert_eq!(transfer.finished(), Some((-121, 65_636)));
}

#[test]
fn a_failed_piece_ends_a_transfer_and_its_followers() {
    let mut transfer = Transfer::new(Shape::Stream, Direction::Out, 200_000, 512);
    transfer.sent(65_536);
    transfer.sent(65_536);
    transfer.answered(65_536, 1024, -32);
    assert!(transfer.ended_early() && !transfer.unsent());
    assert!(transfer.finished().is_none());
    transfer.answered(65_536, 0, -108);
    assert_eq!(transfer.finished(), Some((-32, 1024)));
}

#[test]
fn control_is_never_cut() {
    let transfer = Transfer::new(Shape::Control, Direction::In, 65_535, 64);
    assert_eq!(transfer.next_piece(), Some((0, 65_535)));
    assert_eq!(transfer.cut(61_440), None);
    assert_eq!(transfer.cut(65_536), Some(65_535));
}

#[test]
fn what_was_moved_before_a_cancel_counts() {
    let mut input = Transfer::new(Shape::Stream, Direction::In, 200_000, 512);
    input.sent(65_536);
    input.answered(65_536, 65_536, 0);
    input.sent(65_536);
    input.cancel();
    input.answered(65_536, 1000, -108);
    assert_eq!(input.finished(), Some((-104, 66_536)));
    // Of pieces that follow each other, those up to the first that is not whole.
    let mut output = Transfer::new(Shape::Stream, Direction::Out, 200_000, 512);
    output.sent(65_536);
    output.sent(65_536);
    output.cancel();
    output.answered(65_536, 512, -108);
    output.answered(65_536, 512, -108);
    assert_eq!(output.finished(), Some((-104, 512)));
}

#[test]
fn a_short_control_transfer_is_an_error_only_where_it_is_said_to_be() {
    for (strict, status) in [(false, 0), (true, -121)] {
        let mut transfer =
            Transfer::new(Shape::Control, Direction::In, 255, 64).short_not_ok(strict);
        transfer.sent(255);
        transfer.answered(255, 18, 0);
        assert_eq!(transfer.finished(), Some((status, 18)));
    }
}
