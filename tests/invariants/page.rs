// SPDX-License-Identifier: GPL-2.0

//! A page of plain memory that two ends share, and where things are in it, as
//! `io/ring.h` of Xen's public headers has it: said again here, so that a mistake in the
//! ring's own layout shows.

use ring::{entries, SharedPage, PAGE_SIZE};
use std::{cell::RefCell, rc::Rc};

pub const REQ_PROD: usize = 0;
pub const REQ_EVENT: usize = 4;
pub const RSP_PROD: usize = 8;
pub const RSP_EVENT: usize = 12;

/// Where the entry of an index is, of entries of so many bytes.
pub fn place(index: u32, entry: usize) -> usize {
    64 + (index % entries(entry)) as usize * entry
}

/// Clones share the memory, as two domains do.
#[derive(Clone)]
pub struct Page(Rc<RefCell<[u8; PAGE_SIZE]>>);

impl Page {
    /// All zero.
    #[expect(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new([0; PAGE_SIZE])))
    }

    /// A page whose four indices all start at `index`.
    pub fn starting_at(index: u32) -> Self {
        let page = Self::new();
        page.store(REQ_PROD, index);
        page.store(REQ_EVENT, index.wrapping_add(1));
        page.store(RSP_PROD, index);
        page.store(RSP_EVENT, index.wrapping_add(1));
        page
    }
}

impl SharedPage for Page {
    fn load(&self, offset: usize) -> u32 {
        let mut word = [0; 4];
        self.read(offset, &mut word);
        u32::from_le_bytes(word)
    }
    fn store(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }
    fn full_barrier(&self) {}
    fn read(&self, offset: usize, out: &mut [u8]) {
        out.copy_from_slice(&self.0.borrow()[offset..offset + out.len()]);
    }
    fn write(&self, offset: usize, bytes: &[u8]) {
        self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}
