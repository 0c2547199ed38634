// SPDX-License-Identifier: GPL-2.0

//! Responses: what became of a request.

use crate::bytes::{i32_at, put, u16_at};
use crate::{Refused, Status, URB_ENTRY};

/// A response of the urb ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Id of the request.
    pub id: u16,
    /// Frame in which an isochronous transfer started.
    pub start_frame: u16,
    /// How the transfer ended. A short one has ended well.
    pub status: Status,
    /// Bytes moved.
    pub actual_length: u32,
    /// Isochronous packets that failed.
    pub error_count: u32,
}

/// Bytes of `struct xenusb_urb_response`.
pub const RESPONSE: usize = 16;

impl Response {
    /// A response that carries nothing but a status.
    #[must_use]
    pub const fn plain(id: u16, status: Status) -> Self {
        Self {
            id,
            start_frame: 0,
            status,
            actual_length: 0,
            error_count: 0,
        }
    }

    /// Checks an entry that was copied out of the ring. Whether the id is in
    /// flight and the length fits it is for the owner of the request to check.
    ///
    /// # Errors
    /// [`Refused`] for a status that the interface does not have, or a negative
    /// length or count.
    pub fn parse(entry: &[u8; URB_ENTRY]) -> Result<Self, Refused> {
        let id = u16_at(entry, 0);
        let refused = |reason| Refused { id, reason };
        Ok(Self {
            id,
            start_frame: u16_at(entry, 2),
            status: Status::from_wire(i32_at(entry, 4)).ok_or(refused("unknown status"))?,
            actual_length: u32::try_from(i32_at(entry, 8))
                .map_err(|_| refused("negative length"))?,
            error_count: u32::try_from(i32_at(entry, 12))
                .map_err(|_| refused("negative error count"))?,
        })
    }

    /// The bytes to put on the ring.
    #[must_use]
    pub fn encode(&self) -> [u8; RESPONSE] {
        let mut entry = [0; RESPONSE];
        put(&mut entry, 0, &self.id.to_le_bytes());
        put(&mut entry, 2, &self.start_frame.to_le_bytes());
        put(&mut entry, 4, &self.status.errno().to_le_bytes());
        put(&mut entry, 8, &self.actual_length.to_le_bytes());
        put(&mut entry, 12, &self.error_count.to_le_bytes());
        entry
    }
}
