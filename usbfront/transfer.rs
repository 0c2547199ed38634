// SPDX-License-Identifier: GPL-2.0

//! From a URB to what the core crate and the wire know of it.

use kernel::prelude::*;
use usb::hcd_buffer::Stretch;
use usb::hcd_urb::{TransferType, Urb};
use usbfront_core::{Fragment, Memory, Piece, Plan, Run, Shape, Transfer, MOST_BYTES};
use usbif::{Direction, Kind, PortNumber, Segments, SetupPacket, Submit};

/// Direction of the data.
pub(crate) fn direction(urb: &Urb) -> Direction {
    if urb.is_in() {
        Direction::In
    } else {
        Direction::Out
    }
}

/// Checks a URB and describes its transfer. `indirect`: the backend takes such
/// requests.
///
/// # Errors
///
/// `EINVAL` no buffer, no setup packet, or packets that leave the buffer;
/// `EMSGSIZE` a packet that no request can carry; `ENODEV` not behind a port of
/// ours.
pub(crate) fn describe(urb: &Urb, indirect: bool) -> Result<Transfer> {
    let shape = match urb.transfer_type() {
        TransferType::Control => Shape::Control,
        TransferType::Bulk | TransferType::Interrupt => Shape::Stream,
        TransferType::Isochronous => Shape::Isochronous,
    };
    let length = if shape == Shape::Isochronous {
        check_packets(urb)?
    } else {
        urb.length()
    };
    if !urb.has_buffer() || (shape == Shape::Control && urb.setup().is_none()) {
        return Err(EINVAL);
    }
    PortNumber::new(urb.root_port()).ok_or(ENODEV)?;
    Ok(
        Transfer::new(shape, direction(urb), length, urb.max_packet())
            .indirect(indirect)
            .short_not_ok(urb.short_not_ok())
            .zero_packet(urb.zero_packet()),
    )
}

/// The number of packets, all of which lie in the buffer.
fn check_packets(urb: &Urb) -> Result<u32> {
    for packet in urb.packets(0) {
        if packet.length > MOST_BYTES {
            return Err(EMSGSIZE);
        }
        match packet.offset.checked_add(packet.length) {
            Some(end) if end <= urb.length() => {}
            _ => return Err(EINVAL),
        }
    }
    Some(urb.packet_count())
        .filter(|&count| count > 0)
        .ok_or(EINVAL)
}

fn fragment(stretch: Stretch<'_>) -> Fragment {
    Fragment {
        offset: stretch.offset(),
        length: stretch.length(),
        memory: if stretch.is_linear() {
            Memory::Linear
        } else {
            Memory::Other
        },
    }
}

/// Lays out a piece; returns its length.
///
/// # Errors
///
/// `E2BIG` not even a packet fits, which does not happen.
pub(crate) fn plan(urb: &Urb, piece: &Piece, trusted: bool, plan: &mut Plan) -> Result<u32> {
    let mut lay_out = |trusted| {
        let fragments = urb.stretches(piece.offset).map(fragment);
        let most = piece.transfer.most_segments();
        plan.lay_out(piece.offset, piece.limit, most, trusted, fragments);
        plan.total()
    };
    let mut total = lay_out(trusted);
    if total < piece.limit && piece.transfer.shape() != Shape::Stream {
        // It cannot be cut: the bounce pages, which waste no part of a segment,
        // hold 64 KiB in 16.
        total = lay_out(false);
    }
    let length = piece.transfer.cut(total).ok_or(E2BIG)?;
    plan.truncate(length);
    Ok(length)
}

/// The packets of an isochronous piece.
///
/// # Errors
///
/// `E2BIG` not even a packet fits, which does not happen.
pub(crate) fn run(urb: &Urb, piece: &Piece) -> Result<Run> {
    let lengths = urb.packets(piece.offset).map(|packet| packet.length);
    Some(Run::longest(lengths))
        .filter(|run| run.packets > 0)
        .ok_or(E2BIG)
}

/// How much of a transfer a piece is.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// In bytes, or in packets of an isochronous transfer.
    pub(crate) length: u32,
    /// In bytes.
    pub(crate) bytes: u32,
}

/// The request that is to carry a piece, without segments or packets yet.
pub(crate) fn request(urb: &Urb, piece: &Piece) -> Result<Submit> {
    // A hint: the backend goes by the device's own descriptor.
    let interval = u16::try_from(urb.interval()).unwrap_or(u16::MAX);
    let kind = match urb.transfer_type() {
        TransferType::Control => Kind::Control(SetupPacket(urb.setup().ok_or(EINVAL)?)),
        TransferType::Bulk => Kind::Bulk,
        TransferType::Interrupt => Kind::Interrupt { interval },
        TransferType::Isochronous => Kind::Isochronous {
            interval,
            // As soon as possible: the frames that we count are not the
            // host's, and class drivers do not ask for one.
            start_frame: 0,
            packets: 0,
            descriptors: Segments::EMPTY,
        },
    };
    Ok(Submit {
        id: piece.id,
        port: PortNumber::new(urb.root_port()).ok_or(ENODEV)?,
        device: urb.device_address(),
        endpoint: urb.endpoint(),
        direction: piece.transfer.direction(),
        short_not_ok: piece.transfer.is_short_not_ok(),
        kind,
        data: Segments::EMPTY,
    })
}
