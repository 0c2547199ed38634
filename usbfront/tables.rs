// SPDX-License-Identifier: GPL-2.0

//! The scheduler's tables in kernel memory.

use kernel::{alloc::flags::__GFP_NOWARN, prelude::*};
use usbfront_core::{NoMemory, Table};

/// Most entries: drivers queue some dozens of URBs for each device, usbfs lets a process
/// queue tens of thousands, and larger tables are memory that nobody has in one piece.
const MOST: u32 = 8192;

/// A table that grows when it must and keeps its memory.
pub(crate) struct Growing<T>(KVec<T>);

impl<T> Growing<T> {
    /// A table with room for `count` entries.
    pub(crate) fn new(count: usize) -> Result<Self> {
        Ok(Self(KVec::with_capacity(count, GFP_KERNEL)?))
    }
}

impl<T> Table<T> for Growing<T> {
    fn get(&self, index: u32) -> Option<&T> {
        self.0.get(index as usize)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.0.get_mut(index as usize)
    }

    fn push(&mut self, entry: T) -> Result<u32, NoMemory> {
        let index = self.count();
        if index >= MOST {
            return Err(NoMemory);
        }
        self.0
            .push(entry, GFP_ATOMIC | __GFP_NOWARN)
            .map_err(|_| NoMemory)?;
        Ok(index)
    }

    fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}
