// SPDX-License-Identifier: GPL-2.0

//! What comes back while the data worker does something else.
//!
//! URBs come back in interrupt context, operations of the USB core end in their
//! own workers; both are put aside here, under a lock, until the data worker
//! takes them. There is a place for everything that can come back before it
//! looks again, so nothing ever has to push something else out: a URB and an
//! operation with a request have that request's slot, which is not free before
//! the worker has dealt with them. A reset has no request, and only the device
//! that is on its port goes on after it: where two devices of one port have been
//! reset, the later one's counts.

use crate::{Index, SLOTS};
use usbif::{PortNumber, Status, MAX_PORTS};

/// An operation that has ended.
#[derive(Debug)]
pub struct Ended<D> {
    /// The device that it was for.
    pub device: D,
    /// Number of the device: what is plugged in later has a higher one.
    pub serial: u64,
    /// The request to answer.
    pub slot: Option<Index>,
    /// What to answer.
    pub status: Status,
}

/// What has come back and has not been dealt with: URBs `U`, operations on
/// devices `D`.
#[derive(Debug)]
pub struct Returned<U, D> {
    urbs: [Option<U>; SLOTS],
    requested: [Option<Ended<D>>; SLOTS],
    resets: [Option<Ended<D>>; MAX_PORTS as usize],
}

impl<U, D> Returned<U, D> {
    /// Nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            urbs: [const { None }; SLOTS],
            requested: [const { None }; SLOTS],
            resets: [const { None }; MAX_PORTS as usize],
        }
    }

    /// The URB of a slot has come back. What this returns is to be dropped
    /// without the lock; there is something only if a slot has two URBs.
    #[must_use]
    pub fn urb(&mut self, slot: Index, urb: U) -> Option<U> {
        match self.urbs.get_mut(slot.get()) {
            Some(place) => place.replace(urb),
            None => Some(urb),
        }
    }

    /// An operation on the device of a port has ended. What this returns nobody
    /// waits for; it is to be dropped without the lock.
    #[must_use]
    pub fn operation(&mut self, port: PortNumber, ended: Ended<D>) -> Option<Ended<D>> {
        let place = match ended.slot {
            Some(slot) => self.requested.get_mut(slot.get()),
            None => self.resets.get_mut(port.index()),
        };
        match place {
            Some(Some(other)) if other.serial > ended.serial => Some(ended),
            Some(place) => place.replace(ended),
            None => Some(ended),
        }
    }

    /// Takes everything.
    #[must_use]
    pub fn take(&mut self) -> Self {
        core::mem::replace(self, Self::nothing())
    }

    /// The URBs, and the operations that have ended.
    pub fn split(self) -> (impl Iterator<Item = U>, impl Iterator<Item = Ended<D>>) {
        let operations = self.requested.into_iter().chain(self.resets);
        (self.urbs.into_iter().flatten(), operations.flatten())
    }
}
