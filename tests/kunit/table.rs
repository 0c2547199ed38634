// SPDX-License-Identifier: GPL-2.0

//! A scheduler with the tables that ship, whose URBs are numbers.

use crate::tables::Growing;
use usbfront_core::{Endpoint, Job, Scheduler};

/// A scheduler of numbers.
pub(crate) type Tested = Scheduler<u32, Growing<Job<u32>>, Growing<Endpoint>>;

/// Its tables have no room yet, so that they grow as well.
pub(crate) fn scheduler() -> Tested {
    Scheduler::new(Growing::new(0).unwrap(), Growing::new(0).unwrap())
}
