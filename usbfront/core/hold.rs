// SPDX-License-Identifier: GPL-2.0

//! Queues that stand still after an error.
//!
//! The USB core promises class drivers that a control, bulk or interrupt queue
//! stops when a URB fails or is unlinked, until all completions of such URBs
//! have run (`usb_unlink_urb()`, "Unlinking and Endpoint Queues"): so a
//! completion may take back what comes next before it reaches the device.
//! Isochronous queues go on.
//!
//! The completions run in a work of the core. The shell waits for it, between
//! [`Scheduler::begin_release`] and [`Scheduler::release`]; an endpoint that is
//! held anew meanwhile stays held. What had been sent before the error is with
//! the backend, where the host's queue stops only until the backend has it back.

use crate::job::{Endpoint, Hold, Job, JobId};
use crate::scheduler::Scheduler;
use crate::table::Table;
use crate::transfer::{Shape, Transfer};

impl<P, J: Table<Job<P>>, E: Table<Endpoint>> Scheduler<P, J, E> {
    /// The job has failed or was cancelled.
    pub(crate) fn hold(&mut self, job: u32) {
        let Some(job) = self.jobs.get(job) else {
            return;
        };
        if job.transfer.shape() == Shape::Isochronous {
            return;
        }
        let Some(endpoint) = self.endpoints.get_mut(job.endpoint) else {
            return;
        };
        if core::mem::replace(&mut endpoint.hold, Hold::Held) == Hold::Free {
            self.held = self.held.saturating_add(1);
        }
    }

    /// Whether some endpoint is held all of whose failed and cancelled URBs are
    /// finished: the shell shall begin to release it.
    #[must_use]
    pub fn is_releasable(&self) -> bool {
        self.held > 0 && (0..self.endpoints.count()).any(|index| self.may_leave(index))
    }

    /// Begins to release the endpoints that can be. Wait for the completions of
    /// all URBs that were given back, then call [`Self::release`].
    pub fn begin_release(&mut self) {
        self.change(Self::may_leave, Hold::Leaving);
    }

    /// The completions have run: their endpoints' queues move again.
    pub fn release(&mut self) {
        let leaving = |scheduler: &Self, index| {
            let endpoint = scheduler.endpoints.get(index);
            endpoint.is_some_and(|e| e.hold == Hold::Leaving)
        };
        let changed = self.change(leaving, Hold::Free);
        self.held = self.held.saturating_sub(changed);
    }

    fn may_leave(&self, index: u32) -> bool {
        let endpoint = self.endpoints.get(index);
        endpoint.is_some_and(|e| e.hold == Hold::Held)
            && !self.has_in_flight(index, Transfer::ended_early)
    }

    fn change(&mut self, which: impl Fn(&Self, u32) -> bool, to: Hold) -> u32 {
        let mut changed = 0u32;
        for index in 0..self.endpoints.count() {
            if self.held == 0 || !which(self, index) {
                continue;
            }
            if let Some(endpoint) = self.endpoints.get_mut(index) {
                endpoint.hold = to;
                changed = changed.saturating_add(1);
            }
        }
        changed
    }

    /// Whether the endpoint has a piece in flight of such a transfer.
    pub(crate) fn has_in_flight(&self, endpoint: u32, such: impl Fn(&Transfer) -> bool) -> bool {
        self.slots.jobs().any(|JobId(index)| {
            let job = self.jobs.get(index);
            job.is_some_and(|job| job.endpoint == endpoint && such(&job.transfer))
        })
    }
}
