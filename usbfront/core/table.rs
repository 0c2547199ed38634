// SPDX-License-Identifier: GPL-2.0

//! Where the scheduler keeps its entries. The shell's grows when it must and
//! never shrinks, so that in the steady state nothing is allocated.

/// There is no memory for one more entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// Entries numbered from 0.
pub trait Table<T> {
    /// Entry `index`.
    fn get(&self, index: u32) -> Option<&T>;
    /// Entry `index`, to change it.
    fn get_mut(&mut self, index: u32) -> Option<&mut T>;
    /// Appends an entry; returns its number. Called in atomic context.
    ///
    /// # Errors
    /// [`NoMemory`], and the entry is dropped.
    fn push(&mut self, entry: T) -> Result<u32, NoMemory>;
    /// Number of entries.
    fn count(&self) -> u32;
}
