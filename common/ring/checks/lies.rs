// SPDX-License-Identifier: GPL-2.0

//! What a far end may not do.

use super::{entry, Page, ENTRY};
use ring::{BackRing, Corrupt, FrontRing, Full, SharedPage};

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_ring))]
mod pvusb_ring {
    use super::*;

    /// An index that runs backwards is as impossible as one that jumps.
    #[test]
    fn a_producer_that_runs_backwards_is_corrupt() {
        let page = Page::new();
        let mut back = BackRing::<_, ENTRY>::attach(page.clone()).unwrap();
        page.store(0, 3);
        assert!(back.pop().unwrap().is_some());
        assert!(back.pop().unwrap().is_some());
        page.store(0, 1);
        assert_eq!(back.pop(), Err(Corrupt));
    }

    /// Requests pushed but not published cannot be answered.
    #[test]
    fn an_unpublished_request_has_no_response() {
        let page = Page::new();
        let mut front = FrontRing::<_, ENTRY>::new(page.clone());
        front.push(&entry(0)).unwrap();
        page.store(8, 1);
        assert_eq!(front.pop(), Err(Corrupt));
    }

    /// What lies beyond the entry is refused instead of spilling into the next.
    #[test]
    fn an_overlong_response_is_refused() {
        let page = Page::new();
        page.store(0, 1);
        let mut back = BackRing::<_, 4>::attach(page).unwrap();
        back.pop().unwrap();
        assert_eq!(back.push(&[0; 5]), Err(Full));
        assert_eq!(back.push(&[0; 4]), Ok(()));
    }
}
