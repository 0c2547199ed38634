// SPDX-License-Identifier: GPL-2.0

//! A page of plain memory that two ends share.

use ring::{SharedPage, PAGE_SIZE};
use std::{cell::RefCell, rc::Rc};

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
        page.store(0, index);
        page.store(4, index.wrapping_add(1));
        page.store(8, index);
        page.store(12, index.wrapping_add(1));
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
