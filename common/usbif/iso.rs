// SPDX-License-Identifier: GPL-2.0

//! Isochronous packet descriptors, which travel in granted pages.

use crate::bytes::{i32_at, put, u32_at};

/// Bytes of one descriptor (`struct usb_iso_packet_descriptor`).
pub(crate) const DESCRIPTOR: usize = 16;

/// One packet of an isochronous transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsoDescriptor {
    /// First byte of the packet in the transfer's data.
    pub offset: u32,
    /// Bytes that may be moved.
    pub length: u32,
    /// Bytes that were.
    pub actual_length: u32,
    /// 0 or a negative errno, as [`iso_status`] lets through.
    pub status: i32,
}

impl IsoDescriptor {
    /// Bytes of one descriptor.
    pub const SIZE: usize = DESCRIPTOR;

    /// Reads a descriptor. Any bytes are one; the caller checks them against
    /// the transfer with [`Self::fits`].
    #[must_use]
    pub fn parse(bytes: &[u8; DESCRIPTOR]) -> Self {
        Self {
            offset: u32_at(bytes, 0),
            length: u32_at(bytes, 4),
            actual_length: u32_at(bytes, 8),
            status: iso_status(i32_at(bytes, 12)),
        }
    }

    /// The bytes to write back.
    #[must_use]
    pub fn encode(&self) -> [u8; DESCRIPTOR] {
        let mut bytes = [0; DESCRIPTOR];
        put(&mut bytes, 0, &self.offset.to_le_bytes());
        put(&mut bytes, 4, &self.length.to_le_bytes());
        put(&mut bytes, 8, &self.actual_length.to_le_bytes());
        put(&mut bytes, 12, &iso_status(self.status).to_le_bytes());
        bytes
    }

    /// Whether the packet lies within a transfer of `total` bytes.
    #[must_use]
    pub fn fits(&self, total: u32) -> bool {
        self.offset
            .checked_add(self.length)
            .is_some_and(|end| end <= total)
    }
}

/// A packet's status as the other domain may see it or set it: one of those
/// that a host controller reports, anything else becomes -EPROTO.
#[must_use]
pub const fn iso_status(status: i32) -> i32 {
    match status.saturating_neg() {
        // Done; -EXDEV, -ENODEV, -EPIPE, -ETIME, -ENOSR, -ECOMM, -EOVERFLOW,
        // -EILSEQ, -ESHUTDOWN, -EREMOTEIO.
        0 | 18 | 19 | 32 | 62 | 63 | 70 | 75 | 84 | 108 | 121 => status,
        _ => -71,
    }
}
