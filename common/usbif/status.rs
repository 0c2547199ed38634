// SPDX-License-Identifier: GPL-2.0

//! The few statuses that the wire has, and the one table that maps the host's
//! URB statuses (Documentation/driver-api/usb/error-codes.rst) to them.

/// `XENUSB_STATUS_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done, perhaps with less data than was asked for.
    Ok,
    /// No such device, any more.
    NoDevice,
    /// The request makes no sense.
    Invalid,
    /// The endpoint is halted, or the device refuses a control request.
    Stall,
    /// The transfer failed on the bus or in the host.
    IoError,
    /// The device sent more than was asked for.
    Babble,
    /// Given back before it was done.
    Shutdown,
}

// The errno values that the table names; the kernel's, the same on every
// architecture that Xen runs on.
const ENOENT: i32 = 2;
const ENODEV: i32 = 19;
const EXDEV: i32 = 18;
const EINVAL: i32 = 22;
const EPIPE: i32 = 32;
const EPROTO: i32 = 71;
const EOVERFLOW: i32 = 75;
const EMSGSIZE: i32 = 90;
const ECONNRESET: i32 = 104;
const ESHUTDOWN: i32 = 108;
const EREMOTEIO: i32 = 121;

impl Status {
    /// The wire's status for a URB that the host gave back with `status`, 0 or
    /// a negative errno.
    #[must_use]
    pub const fn from_urb(status: i32) -> Self {
        match status.saturating_neg() {
            // Short with URB_SHORT_NOT_OK: the frontend knows what it asked for
            // and makes the error itself. -EXDEV: an isochronous transfer of
            // which some packets failed; each packet has its own status.
            0 | EREMOTEIO | EXDEV => Self::Ok,
            ENODEV => Self::NoDevice,
            EINVAL | EMSGSIZE => Self::Invalid,
            EPIPE => Self::Stall,
            EOVERFLOW => Self::Babble,
            // Unlinked or killed.
            ENOENT | ECONNRESET | ESHUTDOWN => Self::Shutdown,
            // -EPROTO, -EILSEQ, -ETIME, -ECOMM, -ENOSR, -ETIMEDOUT, and what
            // the host ran out of: -ENOMEM, -ENOSPC.
            _ => Self::IoError,
        }
    }

    /// The status of that number, if the interface has it.
    #[must_use]
    pub const fn from_wire(status: i32) -> Option<Self> {
        Some(match status.saturating_neg() {
            0 => Self::Ok,
            ENODEV => Self::NoDevice,
            EINVAL => Self::Invalid,
            EPIPE => Self::Stall,
            EPROTO => Self::IoError,
            EOVERFLOW => Self::Babble,
            ESHUTDOWN => Self::Shutdown,
            _ => return None,
        })
    }

    /// Its number on the wire, which is also the URB status that it becomes in
    /// the guest: 0 or a negative errno.
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Self::Ok => 0,
            Self::NoDevice => -ENODEV,
            Self::Invalid => -EINVAL,
            Self::Stall => -EPIPE,
            Self::IoError => -EPROTO,
            Self::Babble => -EOVERFLOW,
            Self::Shutdown => -ESHUTDOWN,
        }
    }
}
