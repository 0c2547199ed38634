// SPDX-License-Identifier: GPL-2.0

//! The PVUSB wire format: what lies in a ring entry, parsed once into types
//! that cannot hold an impossible value, and encoded back from them.
//!
//! The layout is that of the kernel's `include/xen/interface/io/usbif.h`; the
//! kernel build checks the sizes used here against it. Both domains run on one
//! machine, so numbers are little-endian, as x86 and arm64 have them.

#![cfg_attr(not(CONFIG_RUST), no_std)]

mod bytes;
mod conn;
mod indirect;
mod iso;
mod port;
mod request;
mod response;
mod segment;
mod setup;
mod statistics;
mod status;

pub use conn::{ConnEvent, Speed};
pub use indirect::Indirect;
pub use iso::{iso_status, IsoDescriptor};
pub use port::PortNumber;
pub use request::{Direction, Kind, Request, Submit};
pub use response::{Response, RESPONSE};
pub use segment::{Segment, Segments, TooMany};
pub use setup::SetupPacket;
pub use statistics::Statistics;
pub use status::Status;

/// Bytes of an entry of the urb ring (`union xenusb_urb_sring_entry`).
pub const URB_ENTRY: usize = 148;
/// Bytes of an entry of the conn ring (`union xenusb_conn_sring_entry`).
pub const CONN_ENTRY: usize = 4;
/// Segments of a request, data and isochronous descriptors together
/// (`XENUSB_MAX_SEGMENTS_PER_REQUEST`).
pub const MAX_SEGMENTS: usize = 16;
/// Bytes that one request can carry: each segment is at most a page.
pub const MAX_TRANSFER: u32 = 65_536;
/// Segments of an indirect request, whose list lies in a granted page: one of the
/// 120 KiB that class drivers like has 31 if it is not aligned. See [`Indirect`].
pub const MAX_INDIRECT: usize = 32;
/// Ports of a virtual host controller (`XENUSB_MAX_PORTNR`).
pub const MAX_PORTS: u8 = 31;
/// Bytes of a granted page.
pub const PAGE_SIZE: u16 = 4096;

/// A message that does not make sense, with the id it carries, so that it can
/// be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The message's id.
    pub id: u16,
    /// What is wrong with it, for the log.
    pub reason: &'static str,
}
