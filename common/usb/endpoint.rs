// SPDX-License-Identifier: GPL-2.0

//! Endpoints, from the host's descriptors and from nowhere else.

use crate::device::{
    Device,
    Speed, //
};
use kernel::bindings;

/// The direction of a transfer, seen from the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// To the device.
    Out,
    /// From the device.
    In,
}

/// The four kinds of transfer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransferType {
    /// Setup, optional data, status.
    Control,
    /// Streams of packets at fixed times, without retries.
    Isochronous,
    /// Reliable data without guaranteed bandwidth.
    Bulk,
    /// Reliable data with bounded latency.
    Interrupt,
}

impl TransferType {
    /// By the descriptor's `bmAttributes`.
    pub(crate) fn of(descriptor: &bindings::usb_endpoint_descriptor) -> Self {
        match descriptor.bmAttributes & 3 {
            0 => TransferType::Control,
            1 => TransferType::Isochronous,
            2 => TransferType::Bulk,
            _ => TransferType::Interrupt,
        }
    }
}

/// The period for `urb->interval`, in frames (low and full speed) or
/// microframes, by the rules of `usb_fill_int_urb()`: high speed and
/// isochronous intervals are exponents, the others are frames. 0: none.
pub(crate) fn period(kind: TransferType, speed: Speed, interval: u8) -> u32 {
    let exponent = match (kind, speed) {
        (TransferType::Control | TransferType::Bulk, _) => return 0,
        (TransferType::Isochronous, _) | (_, Speed::High | Speed::Super) => true,
        _ => false,
    };
    if exponent {
        1 << u32::from(interval.clamp(1, 16)).saturating_sub(1)
    } else {
        u32::from(interval.max(1))
    }
}

/// A copy of what the host knows about one endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// 0..=15.
    pub number: u8,
    /// The direction it was looked up with; a control endpoint has both.
    pub direction: Direction,
    /// Its transfer type.
    pub kind: TransferType,
    /// Bytes of one packet.
    pub max_packet: u16,
    /// Packets in one microframe, 1..=3: above 1 for high speed periodic endpoints only.
    pub packets_per_frame: u8,
    /// `bInterval` as the descriptor has it.
    pub interval: u8,
}

impl Endpoint {
    /// Reads the endpoint that `usb_pipe_endpoint()` would use for a URB.
    pub(crate) fn lookup(device: &Device, number: u8, direction: Direction) -> Option<Self> {
        let index = usize::from(number);
        let raw = device.as_raw();
        // A control endpoint is in both tables (usb_enable_endpoint()).
        let table = match direction {
            // SAFETY: `raw` is a valid device; the table is a field of it.
            Direction::In => unsafe { &raw const (*raw).ep_in },
            // SAFETY: as above.
            Direction::Out => unsafe { &raw const (*raw).ep_out },
        };
        if index >= 16 {
            return None;
        }
        // SAFETY: the index is within the table of 16. The word is aligned, and
        // usbcore may write it meanwhile, hence volatile.
        let endpoint = unsafe {
            table
                .cast::<*mut bindings::usb_host_endpoint>()
                .wrapping_add(index)
                .read_volatile()
        };
        if endpoint.is_null() {
            return None;
        }
        // SAFETY: a non-null entry is `ep0` of the device or an endpoint of one of its
        // configurations, both of which live as long as the device does.
        let descriptor = unsafe { (&raw const (*endpoint).desc).read() };
        let max = u16::from_le(descriptor.wMaxPacketSize);
        Some(Self {
            number,
            direction,
            kind: TransferType::of(&descriptor),
            max_packet: max & 0x7ff,
            // Two bits, one less than the number; the value 3 is reserved.
            packets_per_frame: match (max >> 11) & 3 {
                0 => 1,
                1 => 2,
                _ => 3,
            },
            interval: descriptor.bInterval,
        })
    }

    /// The period for `urb->interval`, in frames (low and full speed) or
    /// microframes; 0 for an endpoint that is not periodic.
    pub fn period(&self, speed: Speed) -> u32 {
        period(self.kind, speed, self.interval)
    }
}
