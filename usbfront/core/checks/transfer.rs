// SPDX-License-Identifier: GPL-2.0

//! How a transfer is cut, and how it ends.

use usbfront_core::*;
use usbif::Direction;

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_transfer))]
mod pvusb_transfer {
    use super::*;

    #[test]
    fn mass_storage_request_of_120_kib() {
        let whole = 120 * 1024;
        let transfer = Transfer::new(Shape::Stream, Direction::In, whole, 512);
        let pieces = |mut transfer: Transfer| {
            let mut piece = || {
                let (offset, limit) = transfer.next_piece()?;
                let length = transfer.cut(limit)?;
                transfer.sent(length);
                transfer.answered(offset, length, length, 0);
                Some((offset, length))
            };
            let pieces = [piece(), piece(), piece()];
            (pieces, transfer.finished())
        };
        let two = [Some((0, 65_536)), Some((65_536, whole - 65_536)), None];
        assert_eq!(pieces(transfer), (two, Some((0, whole))));
        let one = [Some((0, whole)), None, None];
        assert_eq!(pieces(transfer.indirect(true)), (one, Some((0, whole))));
    }

    #[test]
    fn a_short_piece_ends_a_transfer() {
        let mut transfer =
            Transfer::new(Shape::Stream, Direction::In, 200_000, 512).short_not_ok(true);
        transfer.sent(65_536);
        // Not before the answer.
        assert!(transfer.next_piece().is_none());
        transfer.answered(0, 65_536, 65_536, 0);
        assert_eq!(transfer.next_piece(), Some((65_536, 65_536)));
        transfer.sent(65_536);
        transfer.answered(65_536, 65_536, 100, 0);
        assert!(transfer.next_piece().is_none());
        assert_eq!(transfer.finished(), Some((-121, 65_636)));
    }

    #[test]
    fn a_failed_piece_ends_a_transfer_and_its_followers() {
        let mut transfer = Transfer::new(Shape::Stream, Direction::Out, 200_000, 512);
        transfer.sent(65_536);
        transfer.sent(65_536);
        transfer.answered(0, 65_536, 1024, -32);
        assert!(transfer.ended_early() && !transfer.unsent());
        assert!(transfer.finished().is_none());
        transfer.answered(65_536, 65_536, 0, -108);
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
        input.answered(0, 65_536, 65_536, 0);
        input.sent(65_536);
        input.cancel();
        input.answered(65_536, 65_536, 1000, -108);
        assert_eq!(input.finished(), Some((-104, 66_536)));
        // Of pieces that follow each other, those up to the first that is not whole.
        let mut output = Transfer::new(Shape::Stream, Direction::Out, 200_000, 512);
        output.sent(65_536);
        output.sent(65_536);
        output.cancel();
        // Whichever is answered first.
        for order in [[0, 65_536], [65_536, 0]] {
            let mut output = output;
            for offset in order {
                let actual = if offset == 0 { 512 } else { 1024 };
                output.answered(offset, 65_536, actual, -108);
            }
            assert_eq!(output.finished(), Some((-104, 512)));
        }
    }

    #[test]
    fn a_short_control_transfer_is_an_error_only_where_it_is_said_to_be() {
        for (strict, status) in [(false, 0), (true, -121)] {
            let mut transfer =
                Transfer::new(Shape::Control, Direction::In, 255, 64).short_not_ok(strict);
            transfer.sent(255);
            transfer.answered(0, 255, 18, 0);
            assert_eq!(transfer.finished(), Some((status, 18)));
        }
    }
}
