// SPDX-License-Identifier: GPL-2.0

//! The ring's checks on a page that is granted, through the accesses that ship.

use kernel::{prelude::*, sync::Arc};
use ring::{BackRing, FrontRing, SharedPage, PAGE_SIZE};
use xen::ring_page::RingPage;

pub(crate) const ENTRY: usize = 148;

/// Both ends of one page; clones share it.
#[derive(Clone)]
pub(crate) struct Page(Arc<RingPage>);

impl Page {
    pub(crate) fn new() -> Self {
        Self(Arc::new(RingPage::for_domain(0).unwrap(), GFP_KERNEL).unwrap())
    }
}

impl SharedPage for Page {
    fn load(&self, offset: usize) -> u32 {
        self.0.load(offset)
    }
    fn store(&self, offset: usize, value: u32) {
        self.0.store(offset, value);
    }
    fn full_barrier(&self) {
        self.0.full_barrier();
    }
    fn read(&self, offset: usize, out: &mut [u8]) {
        self.0.read(offset, out);
    }
    fn write(&self, offset: usize, bytes: &[u8]) {
        self.0.write(offset, bytes);
    }
}

pub(crate) fn entry(number: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&number.to_le_bytes());
    entry[ENTRY - 1] = number as u8;
    entry
}

#[path = "../../common/ring/checks/lies.rs"]
mod lies;

#[::kernel::macros::kunit_tests(pvusb_ring_page)]
mod pvusb_ring_page {
    use super::*;

    /// A thousand entries go round, sixteen at a time, and each comes back as it was.
    #[test]
    fn entries_go_round() {
        let page = Page::new();
        let mut front = FrontRing::<_, ENTRY>::new(page.clone());
        let mut back = BackRing::<_, ENTRY>::attach(page).unwrap();
        for round in 0..64u32 {
            for number in 0..16 {
                assert!(front.push(&entry(round * 16 + number)).is_ok());
            }
            assert!(front.push(&entry(0)).is_err());
            // Nobody has asked to be woken after the first time.
            assert_eq!(front.publish(), round == 0);
            for number in 0..16 {
                assert_eq!(back.pop(), Ok(Some(entry(round * 16 + number))));
                assert!(back.push(&entry(!number)[..20]).is_ok());
            }
            assert_eq!(back.pop(), Ok(None));
            assert_eq!(back.publish(), round == 0);
            for number in 0..16 {
                let answer = front.pop().unwrap().unwrap();
                assert_eq!(answer[..20], entry(!number)[..20]);
            }
            assert_eq!(front.pop(), Ok(None));
        }
    }

    /// What leaves the page is neither read nor written, and words are aligned.
    #[test]
    fn nothing_beyond_the_page() {
        let page = Page::new();
        let mut out = [7; 8];
        page.read(PAGE_SIZE - 4, &mut out);
        page.read(usize::MAX, &mut out);
        assert_eq!(out, [7; 8]);
        page.write(PAGE_SIZE - 4, &[1; 8]);
        page.write(usize::MAX - 3, &[1; 8]);
        page.store(PAGE_SIZE, 1);
        page.store(2, 1);
        assert_eq!(page.load(PAGE_SIZE - 4), 0);
        assert_eq!(
            (page.load(0), page.load(2), page.load(PAGE_SIZE)),
            (0, 0, 0)
        );
        page.write(PAGE_SIZE - 5, &[1, 2, 3, 4, 5]);
        let mut out = [0; 5];
        page.read(PAGE_SIZE - 5, &mut out);
        assert_eq!(out, [1, 2, 3, 4, 5]);
    }
}
