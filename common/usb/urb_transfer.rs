// SPDX-License-Identifier: GPL-2.0

//! What a URB is asked to do, and how that becomes what usbcore accepts: by the
//! host's descriptors and a whitelist of flags.

use crate::{
    device::Device,
    endpoint::{
        Direction,
        Endpoint,
        TransferType, //
    }, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// What to transfer, besides the bytes in the URB's buffer, which start at its offset 0.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// Endpoint number, 0..=15.
    pub endpoint: u8,
    /// Its direction. A control transfer's is taken from its setup packet instead.
    pub direction: Direction,
    /// Bytes of data, at most [`Buffer::SIZE`](crate::urb_buffer::Buffer::SIZE).
    pub length: u32,
    /// A short read is an error (-EREMOTEIO) that stops the queue. Ignored where it makes no
    /// sense: writes, isochronous.
    pub short_not_ok: bool,
    /// End a bulk write that is a multiple of the packet size with an empty packet. Ignored
    /// elsewhere.
    pub zero_packet: bool,
    /// Type, and what only this type has.
    pub kind: TransferKind,
}

/// The kinds of transfer, with what only one kind has.
#[derive(Clone, Copy, Debug)]
pub enum TransferKind {
    /// With the setup packet.
    Control([u8; 8]),
    /// Bulk.
    Bulk,
    /// Interrupt.
    Interrupt,
    /// With the number of packets, whose places and lengths were set by
    /// [`Urb::set_packet`](crate::urb::Urb::set_packet). Scheduled as soon as possible (URB_ISO_ASAP).
    Isochronous(u16),
}

impl Transfer {
    /// The endpoint meant, if it exists now and is of the transfer's type.
    ///
    /// # Errors
    ///
    /// `ENOENT`: no such endpoint. `EINVAL`: it is of another type, or the setup packet has
    /// another length.
    pub(crate) fn resolve(&self, device: &Device) -> Result<Endpoint> {
        let (kind, direction) = match self.kind {
            TransferKind::Control(setup) => {
                let [request_type, _, _, _, _, _, low, high] = setup;
                let length = u16::from_le_bytes([low, high]);
                if u32::from(length) != self.length {
                    return Err(EINVAL);
                }
                // As usb_submit_urb() sees it: without data it is a write.
                let direction = if request_type & 0x80 != 0 && length != 0 {
                    Direction::In
                } else {
                    Direction::Out
                };
                (TransferType::Control, direction)
            }
            TransferKind::Bulk => (TransferType::Bulk, self.direction),
            TransferKind::Interrupt => (TransferType::Interrupt, self.direction),
            TransferKind::Isochronous(_) => (TransferType::Isochronous, self.direction),
        };
        let endpoint = device.endpoint(self.endpoint, direction).ok_or(ENOENT)?;
        if endpoint.kind != kind {
            return Err(EINVAL);
        }
        Ok(endpoint)
    }

    /// The flags that usb_submit_urb() allows for this type and direction.
    pub(crate) fn flags(&self, endpoint: &Endpoint) -> u32 {
        match (endpoint.kind, endpoint.direction) {
            (TransferType::Isochronous, _) => bindings::URB_ISO_ASAP,
            (_, Direction::In) if self.short_not_ok => bindings::URB_SHORT_NOT_OK,
            (TransferType::Bulk, Direction::Out) if self.zero_packet => bindings::URB_ZERO_PACKET,
            _ => 0,
        }
    }
}
