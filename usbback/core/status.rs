// SPDX-License-Identifier: GPL-2.0

//! What a guest is told when the host did not even start a transfer, or broke it
//! off, or when an operation that the host ran on the guest's behalf failed.

use usbif::Status;

const ENOENT: i32 = 2;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const EMSGSIZE: i32 = 90;
const ESHUTDOWN: i32 = 108;
const EHOSTUNREACH: i32 = 113;

/// The wire's status for an error of the host's USB core, a negative errno, at
/// submission. Differs from [`Status::from_urb`], where -ENOENT means killed: at
/// submission it means that there is no such endpoint. `leaves`: as for [`landed`].
#[must_use]
pub const fn refused(errno: i32, leaves: bool) -> Status {
    match errno.saturating_neg() {
        ENOENT | EINVAL | EMSGSIZE => Status::Invalid,
        // The port was closed under the request: reset, suspend, unplug.
        ESHUTDOWN | EHOSTUNREACH if leaves => Status::Shutdown,
        ESHUTDOWN | EHOSTUNREACH => Status::IoError,
        _ => Status::from_urb(errno),
    }
}

/// The wire's status for a URB that the host gave back with `errno`, 0 or negative.
///
/// A URB that was killed (-ENOENT) was not given up by the guest, which unlinks: the
/// host has reset the device or put it to sleep. As long as the device stays, that is
/// a transfer that went wrong, which drivers try again; to `Shutdown` they would give
/// up for good, as usbhid does. `leaves`: the device does not stay.
#[must_use]
pub const fn landed(errno: i32, leaves: bool) -> Status {
    match errno.saturating_neg() {
        ENOENT if !leaves => Status::IoError,
        _ => Status::from_urb(errno),
    }
}

/// The wire's status for an operation that the host's USB core could not do, a
/// negative errno: where the core refuses what makes no sense for the device,
/// the device would have stalled.
#[must_use]
pub const fn failed(errno: i32) -> Status {
    match errno.saturating_neg() {
        // Busy: a device that is not to be suspended now.
        ENOENT | EBUSY | EINVAL => Status::Stall,
        ESHUTDOWN | EHOSTUNREACH => Status::Shutdown,
        _ => Status::from_urb(errno),
    }
}
