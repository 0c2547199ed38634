// SPDX-License-Identifier: GPL-2.0

//! The packets of an isochronous URB in the hands of the host controller.
//!
//! `usb_submit_urb()` has set each packet's status to -EXDEV and its
//! `actual_length` to 0, and has seen that none is longer than the endpoint
//! allows. That they lie in the buffer is for the driver to check.

use crate::hcd_urb::{field, TransferType, Urb};
use crate::urb_iso::packet_ptr;
use xen_sys::bindings;

/// Where a packet lies in the URB's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// First byte.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

impl Urb {
    /// Number of packets; 0 for other types of transfer.
    #[must_use]
    pub fn packet_count(&self) -> u32 {
        if self.transfer_type() != TransferType::Isochronous {
            return 0;
        }
        u32::try_from(field!(self, number_of_packets)).unwrap_or(0)
    }

    fn packet_ptr(&self, index: u32) -> Option<*mut bindings::usb_iso_packet_descriptor> {
        if index >= self.packet_count() {
            return None;
        }
        // SAFETY: Whoever submits a URB has allocated as many packets as it
        // says, and we have it.
        Some(unsafe { packet_ptr(self.as_ptr(), index) })
    }

    /// The packet with that number.
    #[must_use]
    pub fn packet(&self, index: u32) -> Option<Packet> {
        // SAFETY: The pointer is that of a packet of the URB, which nobody else
        // changes.
        let packet = unsafe { self.packet_ptr(index)?.read() };
        Some(Packet {
            offset: packet.offset,
            length: packet.length,
        })
    }

    /// The packets from number `first` on.
    pub fn packets(&self, first: u32) -> impl Iterator<Item = Packet> + '_ {
        (first..self.packet_count()).map_while(|index| self.packet(index))
    }

    /// Says what became of a packet: bytes moved, and 0 or a negative errno.
    /// Nothing happens if there is no such packet.
    pub fn set_packet(&mut self, index: u32, actual_length: u32, status: i32) {
        if let Some(packet) = self.packet_ptr(index) {
            // SAFETY: As in `packet`.
            unsafe {
                (*packet).actual_length = actual_length;
                (*packet).status = status;
            }
        }
    }

    /// Says in which frame, or microframe at high speed, the first packet was
    /// transferred.
    pub fn set_start_frame(&mut self, frame: u16) {
        // SAFETY: By the type's invariants the URB is valid and the field the
        // controller's.
        unsafe { (*self.as_ptr()).start_frame = frame.into() };
    }

    /// Counts the packets that have failed, or were not transferred, for the
    /// class driver. When the URB is about to be given back.
    pub fn count_errors(&mut self) {
        let failed = |&index: &u32| {
            self.packet_ptr(index)
                // SAFETY: As in `packet`.
                .is_some_and(|packet| unsafe { (*packet).status != 0 })
        };
        let count = (0..self.packet_count()).filter(failed).count();
        // SAFETY: As in `set_start_frame`.
        //
        // CAST: There are at most as many packets as an int says.
        unsafe { (*self.as_ptr()).error_count = count as kernel::ffi::c_int };
    }
}
