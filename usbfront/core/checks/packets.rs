// SPDX-License-Identifier: GPL-2.0

//! Isochronous packets: how many a request holds, and what becomes of them.

use core::iter::repeat_n;
use usbfront_core::*;
use usbif::{Direction, IsoDescriptor};

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_packets))]
mod pvusb_packets {
    use super::*;

    #[test]
    fn a_request_is_full_by_packets_or_by_bytes() {
        let many = Run::longest(repeat_n(192, 1000));
        assert_eq!((many.packets, many.bytes), (256, 49_152));
        let long = Run::longest(repeat_n(3072, 1000));
        assert_eq!((long.packets, long.bytes), (20, 61_440));
        assert_eq!(Run::longest([0; 3].into_iter()).packets, 3);
        assert_eq!(Run::longest([MOST_BYTES + 1].into_iter()).packets, 0);
        assert_eq!(Run::longest([u32::MAX, 1].into_iter()).packets, 0);
        assert_eq!(Run::longest([1, u32::MAX].into_iter()).packets, 1);
    }

    /// A backend that refuses a request leaves the descriptors as they are.
    #[test]
    fn an_untouched_descriptor_is_a_packet_that_was_not_transferred() {
        let mut places = Places::default();
        places.place(512);
        let asked = places.place(1024);
        assert_eq!(asked.offset, 512);
        let outcome = outcome(&asked, &IsoDescriptor::parse(&asked.encode())).unwrap();
        assert_eq!((outcome.actual_length, outcome.status), (0, -18));
    }

    #[test]
    fn a_piece_that_fails_ends_the_urb() {
        let mut transfer = Transfer::new(Shape::Isochronous, Direction::Out, 300, 1);
        transfer.sent(256);
        transfer.sent(44);
        assert!(!transfer.unsent());
        transfer.answered(0, 256, 0, -71);
        assert!(transfer.ended_early());
        transfer.answered(256, 44, 0, -108);
        assert_eq!(transfer.finished(), Some((-71, 0)));
    }
}
