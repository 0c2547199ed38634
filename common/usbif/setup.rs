// SPDX-License-Identifier: GPL-2.0

//! The setup packet of a control transfer (USB 2.0, section 9.3).

use crate::bytes::u16_at;
use crate::Direction;

/// Eight bytes: bmRequestType, bRequest, wValue, wIndex, wLength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupPacket(pub [u8; 8]);

impl SetupPacket {
    /// bmRequestType: direction, type and recipient.
    #[must_use]
    pub fn request_type(&self) -> u8 {
        let [request_type, ..] = self.0;
        request_type
    }

    /// bRequest.
    #[must_use]
    pub fn request(&self) -> u8 {
        let [_, request, ..] = self.0;
        request
    }

    /// wValue.
    #[must_use]
    pub fn value(&self) -> u16 {
        u16_at(&self.0, 2)
    }

    /// wIndex.
    #[must_use]
    pub fn index(&self) -> u16 {
        u16_at(&self.0, 4)
    }

    /// wLength: bytes of the data stage.
    #[must_use]
    pub fn length(&self) -> u16 {
        u16_at(&self.0, 6)
    }

    /// Direction of the data stage; without one, the status stage is what is
    /// left of the transfer and the whole counts as OUT (usb_submit_urb()).
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.request_type() & 0x80 != 0 && self.length() != 0 {
            Direction::In
        } else {
            Direction::Out
        }
    }
}
