// SPDX-License-Identifier: GPL-2.0

//! What comes back while the data worker does something else.
//!
//! URBs come back in interrupt context, operations of the USB core end in their
//! own workers; both are put aside here, under a lock, until the data worker
//! takes them. There is a place for everything that can come back before it
//! looks again, so nothing has to push something else out. There are as many
//! places for URBs as URBs. An operation with a request has the place of the
//! request's slot, which is not free before the worker has dealt with it. A reset or
//! a resume has no request, and only the device that is on its port goes on after it:
//! where two devices of one port have had one, the later one's counts.

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

/// One thing that has come back.
#[derive(Debug)]
pub enum Back<U, D> {
    /// A URB.
    Urb(U),
    /// An operation.
    Operation(Ended<D>),
}

/// What has come back and has not been dealt with: URBs `U`, operations on
/// devices `D`.
#[derive(Debug)]
pub struct Returned<U, D> {
    /// In the order in which they came, without gaps: requests to one endpoint are
    /// answered in the order in which the device has done them.
    urbs: [Option<U>; SLOTS],
    /// By the slots of their requests.
    requested: [Option<Ended<D>>; SLOTS],
    /// By the ports of their devices.
    unasked: [Option<Ended<D>>; MAX_PORTS as usize],
}

impl<U, D> Returned<U, D> {
    /// Nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            urbs: [const { None }; SLOTS],
            requested: [const { None }; SLOTS],
            unasked: [const { None }; MAX_PORTS as usize],
        }
    }

    /// A URB has come back. One that there is no place for comes out again, to be
    /// dropped without the lock: there are more than slots.
    #[must_use]
    pub fn urb(&mut self, urb: U) -> Option<U> {
        match self.urbs.iter_mut().find(|place| place.is_none()) {
            Some(place) => place.replace(urb),
            None => Some(urb),
        }
    }

    /// An operation on the device of a port has ended. One that nobody waits
    /// for comes out, to be dropped without the lock.
    #[must_use]
    pub fn operation(&mut self, port: PortNumber, ended: Ended<D>) -> Option<Ended<D>> {
        let place = match ended.slot {
            Some(slot) => self.requested.get_mut(slot.get()),
            None => self.unasked.get_mut(port.index()),
        };
        match place {
            Some(Some(other)) if other.serial > ended.serial => Some(ended),
            Some(place) => place.replace(ended),
            None => Some(ended),
        }
    }

    /// Takes one thing.
    pub fn pop(&mut self) -> Option<Back<U, D>> {
        let [first, ..] = &mut self.urbs;
        if let Some(urb) = first.take() {
            self.urbs.rotate_left(1);
            return Some(Back::Urb(urb));
        }
        let mut operations = self.requested.iter_mut().chain(&mut self.unasked);
        operations.find_map(Option::take).map(Back::Operation)
    }
}
