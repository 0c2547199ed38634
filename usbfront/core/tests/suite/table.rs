// SPDX-License-Identifier: GPL-2.0

//! A scheduler whose tables are vectors and whose URBs are numbers.

use usbfront_core::{Endpoint, Job, NoMemory, Scheduler, Table};

pub(crate) struct Vector<T>(Vec<T>);

impl<T> Table<T> for Vector<T> {
    fn get(&self, index: u32) -> Option<&T> {
        self.0.get(index as usize)
    }
    fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.0.get_mut(index as usize)
    }
    fn push(&mut self, entry: T) -> Result<u32, NoMemory> {
        self.0.push(entry);
        Ok(self.0.len() as u32 - 1)
    }
    fn count(&self) -> u32 {
        self.0.len() as u32
    }
}

/// A scheduler of numbers.
pub(crate) type Tested = Scheduler<u32, Vector<Job<u32>>, Vector<Endpoint>>;

pub(crate) fn scheduler() -> Tested {
    Scheduler::new(Vector(vec![]), Vector(vec![]))
}
