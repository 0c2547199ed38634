// SPDX-License-Identifier: GPL-2.0

//! Isochronous packets: where each lies in the buffer, and how it went.

use crate::{
    urb::{
        Completion,
        Core,
        Urb, //
    },
    urb_buffer::Buffer,
    urb_transfer::{
        Transfer,
        TransferKind, //
    }, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// One isochronous packet of a URB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IsoPacket {
    /// Where its bytes start in the buffer.
    pub offset: u32,
    /// How many bytes it may have.
    pub length: u32,
    /// How many were transferred; never above `length`.
    pub actual_length: u32,
    /// 0 or a negative errno, as the controller set it.
    pub status: i32,
}

impl<C: Completion> Urb<C> {
    /// How many isochronous packets it has room for.
    pub fn packet_capacity(&self) -> u16 {
        self.core.packets
    }

    /// An isochronous packet: its place, and after completion its result.
    pub fn packet(&self, index: u16) -> Option<IsoPacket> {
        if index >= self.core.packets {
            return None;
        }
        // SAFETY: within the packets allocated; not in flight.
        let packet = unsafe { packet_ptr(self.core.raw.as_ptr(), index.into()).read() };
        Some(IsoPacket {
            offset: packet.offset,
            length: packet.length,
            actual_length: packet.actual_length.min(packet.length),
            status: packet.status,
        })
    }

    /// Sets the place of an isochronous packet in the buffer.
    ///
    /// # Errors
    ///
    /// `EINVAL`: more packets than there is room for, or beyond the buffer.
    pub fn set_packet(&mut self, index: u16, offset: u32, length: u32) -> Result {
        let end = offset.checked_add(length).ok_or(EINVAL)?;
        if index >= self.core.packets || end as usize > Buffer::SIZE {
            return Err(EINVAL);
        }
        // SAFETY: within the packets allocated; not in flight.
        unsafe {
            packet_ptr(self.core.raw.as_ptr(), index.into()).write(
                bindings::usb_iso_packet_descriptor {
                    offset,
                    length,
                    ..Default::default()
                },
            )
        };
        Ok(())
    }
}

impl<C: Completion> Core<C> {
    /// The number of isochronous packets, all of them within the transfer's length.
    pub(crate) fn check_packets(&self, transfer: &Transfer) -> Result<u16> {
        let TransferKind::Isochronous(packets) = transfer.kind else {
            return Ok(0);
        };
        if packets == 0 || packets > self.packets {
            return Err(EINVAL);
        }
        for index in 0..packets {
            // SAFETY: within the packets allocated; not in flight.
            let packet = unsafe { packet_ptr(self.raw.as_ptr(), index.into()).read() };
            match packet.offset.checked_add(packet.length) {
                Some(end) if end <= transfer.length => {}
                _ => return Err(EINVAL),
            }
        }
        Ok(packets)
    }
}

/// # Safety
///
/// `raw` is valid, and `index` below the number of packets it was allocated with.
pub(crate) unsafe fn packet_ptr(
    raw: *mut bindings::urb,
    index: u32,
) -> *mut bindings::usb_iso_packet_descriptor {
    // SAFETY: the array follows the structure; its length is the caller's promise.
    unsafe {
        (&raw mut (*raw).iso_frame_desc)
            .cast::<bindings::usb_iso_packet_descriptor>()
            .add(index as usize)
    }
}
