// SPDX-License-Identifier: GPL-2.0

//! What the host's USB core does to a device because its guest asked for it.
//!
//! One at a time for each device, in the turn of the device's place, so never
//! while the place itself binds or releases. It may take seconds; other devices
//! and the data worker go on meanwhile.

use crate::attachment::Attachment;
use crate::connection::Connection;
use crate::place::Place;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::time::{delay::fsleep, Delta};
use usb::lock::LockedDevice;
use usbback_core::{failed, Index, Operation};
use usbif::{Direction, Status};

/// Before the next operation for a device, after one of which udev has looked at each of its
/// interfaces, or one that has failed, of which the USB core may have said something in the
/// log: a guest could have that done without end. Busy or gone is nothing to speak of.
const PAUSE: Delta = Delta::from_millis(500);

/// An operation that a guest waits for.
pub(crate) struct Pending {
    pub(crate) operation: Operation,
    /// The request to answer with the result, if there is one.
    pub(crate) slot: Option<Index>,
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) connection: Arc<Connection>,
}

impl Place {
    /// Takes an operation over; there is at most one.
    pub(crate) fn submit(self: &Arc<Self>, pending: Pending) {
        let old = self.inner.lock().pending.replace(pending);
        if let Some(old) = old {
            // The device's previous attachment had one that never ran.
            old.connection
                .finished(&old.attachment, old.slot, Status::NoDevice);
        }
        self.look();
    }

    /// Runs what a guest waits for. False if nobody does.
    pub(crate) fn run_pending(self: &Arc<Self>) -> bool {
        let Some(pending) = self.inner.lock().pending.take() else {
            return false;
        };
        let device = pending.attachment.target.device();
        let mut lock = device.lock();
        // Whoever takes the device from its guest takes it off the port under this lock.
        let current = self
            .attachment_of(device)
            .is_some_and(|attached| Arc::ptr_eq(&attached, &pending.attachment));
        let before = lock.active_configuration();
        let result = if current {
            self.owned(|| self.operate(&mut lock, &pending))
        } else {
            Err(ENODEV)
        };
        drop(lock);
        let status = match result {
            Ok(()) => Status::Ok,
            Err(error) => failed(error.to_errno()),
        };
        if status != Status::Ok && pending.operation == Operation::Reset && current {
            dev_err!(device.as_ref(), "its guest's reset failed\n");
            self.dead();
        }
        pending
            .connection
            .finished(&pending.attachment, pending.slot, status);
        let reconfigured = matches!(
            pending.operation,
            Operation::SetConfiguration(value) if current && before != Some(value)
        );
        if reconfigured || result.is_err_and(|error| error != ENODEV && error != EBUSY) {
            fsleep(PAUSE);
        }
        true
    }

    fn operate(&self, device: &mut LockedDevice<'_>, pending: &Pending) -> Result {
        if !device.is_attached() {
            return Err(ENODEV);
        }
        if let Operation::Suspend { wakeup } = pending.operation {
            return pending.attachment.sleep(device, wakeup);
        }
        pending.attachment.wake()?;
        match pending.operation {
            Operation::Suspend { .. } | Operation::Resume => Ok(()),
            Operation::Reset => {
                // Without a configuration there is no `pre_reset`.
                pending.attachment.quiesce();
                device.reset()?;
                pending.attachment.resume();
                Ok(())
            }
            Operation::SetConfiguration(value) => {
                if device.active_configuration() == Some(value) {
                    return device.without_strings(LockedDevice::reset_configuration);
                }
                device.without_strings(|device| device.set_configuration(Some(value)))?;
                if device.active_configuration().is_some() {
                    self.claim(device)?;
                }
                Ok(())
            }
            Operation::SetInterface {
                interface,
                altsetting,
            } => {
                let set =
                    |device: &mut LockedDevice<'_>| device.set_interface(interface, altsetting);
                device.without_strings(set)
            }
            Operation::ClearHalt {
                endpoint,
                direction,
            } => {
                let direction = match direction {
                    Direction::In => usb::endpoint::Direction::In,
                    Direction::Out => usb::endpoint::Direction::Out,
                };
                // A driver of the host's that did this would have no URBs there.
                pending.attachment.clear(endpoint, direction);
                device.clear_halt(endpoint, direction)
            }
        }
    }
}
