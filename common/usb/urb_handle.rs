// SPDX-License-Identifier: GPL-2.0

//! Cancelling a URB that is in flight, without having it.
//!
//! Lock order: see [`crate::urb`]; the gate is held while usbcore cancels.

use crate::{
    endpoint::Direction,
    lock::endpoint_of,
    urb::{
        Completion,
        Core,
        Gate, //
    },
    urb_target::Target, //
};
use kernel::{
    bindings,
    sync::Arc, //
};

/// Names one submission of one URB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ticket(pub(crate) u64);

/// Cancels a URB, wherever it is.
pub struct UrbHandle<C: Completion> {
    core: Arc<Core<C>>,
}

impl<C: Completion> UrbHandle<C> {
    pub(crate) fn new(core: Arc<Core<C>>) -> Self {
        Self { core }
    }
}

impl<C: Completion> Clone for UrbHandle<C> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
        }
    }
}

impl<C: Completion> UrbHandle<C> {
    /// Asks for one submission to be given back early, with -ECONNRESET. Nothing happens
    /// if it is back, or almost, or if the URB flies for another ticket by now.
    ///
    /// Does not wait for the device; completion may run inside, so no lock that
    /// completion takes may be held.
    pub fn unlink(&self, ticket: Ticket) {
        let gate = self.core.gate.lock();
        if gate.sequence == ticket.0 {
            // SAFETY: a valid URB, which nobody fills while the gate is ours.
            unsafe { bindings::usb_unlink_urb(self.core.raw.as_ptr()) };
        }
    }

    /// If the URB flies to this target, has it given back with -ENOENT and waits until
    /// its completion has run. Also lets go of the device. Sleeps. `endpoint`: to this
    /// endpoint of it, by number and direction; None: to any.
    pub fn kill_for(&self, target: &Arc<Target>, endpoint: Option<(u8, Direction)>) {
        let mut gate = self.core.gate.lock();
        let is_there = |current: &Arc<Target>| Arc::ptr_eq(current, target);
        let concerned = gate.target.as_ref().is_some_and(is_there)
            && endpoint.is_none_or(|endpoint| self.last_endpoint(&gate) == endpoint);
        if concerned {
            self.kill_now(&mut gate);
        }
    }

    /// The endpoint that it was sent to last, by its pipe.
    fn last_endpoint(&self, _: &Gate) -> (u8, Direction) {
        // SAFETY: a valid URB, which nobody fills while the gate is ours.
        endpoint_of(unsafe { (*self.core.raw.as_ptr()).pipe })
    }

    /// As [`Self::kill_for`], whatever the target.
    pub fn kill(&self) {
        let mut gate = self.core.gate.lock();
        self.kill_now(&mut gate);
    }

    fn kill_now(&self, gate: &mut Gate) {
        // SAFETY: a valid URB, which nobody fills while the gate is ours. Afterwards it is
        // idle, and stays so until it is filled anew. Its `dev` is not cleared: usbcore cancels
        // the URBs of an endpoint by itself (`usb_hcd_flush_endpoint()`) and may be about to
        // follow it, for a device that its caller keeps. Nobody follows that of an idle URB
        // (`use_count` in `usb_hcd_unlink_urb()`).
        unsafe { bindings::usb_kill_urb(self.core.raw.as_ptr()) };
        gate.target = None;
    }
}
