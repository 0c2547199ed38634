// SPDX-License-Identifier: GPL-2.0

//! A URB that does not fly: its memory, and cancelling what is not there.

use kernel::{page::PAGE_SIZE, prelude::*, sync::Arc};
use usb::{
    urb::{Completion, Urb},
    urb_buffer::Buffer,
};

const PAGES: usize = Buffer::SIZE / PAGE_SIZE;

/// Nothing completes here.
struct Nowhere;

impl Completion for Nowhere {
    fn complete(&self, _urb: Urb<Self>) {}
}

fn urb(packets: u16) -> Urb<Nowhere> {
    Urb::new(Arc::new(Nowhere, GFP_KERNEL).unwrap(), 7, packets).unwrap()
}

#[::kernel::macros::kunit_tests(pvusb_urb)]
mod pvusb_urb {
    use super::*;

    /// What is written to the buffer's pages is read, across their ends too.
    #[test]
    fn memory_is_all_there_and_no_more() {
        let mut urb = urb(0);
        assert_eq!(urb.tag(), 7);
        for at in (0..Buffer::SIZE).step_by(64) {
            assert!(urb.write(at, &[(at / PAGE_SIZE) as u8 + 1; 64]).is_ok());
        }
        let mut out = [0; 64];
        for page in 1..PAGES {
            assert!(urb.read(page * PAGE_SIZE - 32, &mut out).is_ok());
            assert_eq!(out[..32], [page as u8; 32]);
            assert_eq!(out[32..], [page as u8 + 1; 32]);
        }
        assert!(urb.read(Buffer::SIZE - 64, &mut out).is_ok());
        assert!(urb.read(Buffer::SIZE - 63, &mut out).is_err());
        assert!(urb.read(usize::MAX, &mut out).is_err());
        assert!(urb.write(Buffer::SIZE, &[0]).is_err());
        assert!(urb.buffer().page(PAGES - 1).is_some());
        assert!(urb.buffer().page(PAGES).is_none());
    }

    /// Fresh: no status, no bytes; isochronous packets are cleared.
    #[test]
    fn a_new_urb_is_clean() {
        for packets in [0, 1, 128] {
            let urb = urb(packets);
            assert_eq!(
                (urb.status(), urb.actual_length(), urb.error_count()),
                (0, 0, 0)
            );
        }
    }

    /// Handles may outlive their URB, and cancelling what was never submitted returns.
    #[test]
    fn cancelling_nothing() {
        let urb = urb(1);
        let (one, two) = (urb.handle(), urb.handle().clone());
        one.kill();
        drop(urb);
        two.kill();
        drop(one);
        two.kill();
    }

    /// Memory comes back: a leak of a buffer each would be 125 MiB.
    #[test]
    fn a_thousand_lives() {
        for _ in 0..1000 {
            drop(urb(8));
        }
    }
}
