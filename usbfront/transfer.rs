// SPDX-License-Identifier: GPL-2.0

//! From a URB to what the core crate and the wire know of it.

use kernel::prelude::*;
use usb::hcd_urb::{Stretch, TransferType, Urb};
use usbfront_core::{Fragment, Memory, Piece, Plan, Shape, Transfer};
use usbif::{Direction, Kind, PortNumber, Segments, SetupPacket, Submit};

/// Direction of the data.
pub(crate) fn direction(urb: &Urb) -> Direction {
    if urb.is_in() {
        Direction::In
    } else {
        Direction::Out
    }
}

/// Checks a URB and describes its transfer.
///
/// # Errors
///
/// `ENXIO` a type of transfer that is not supported, `EINVAL` no buffer or no
/// setup packet, `ENODEV` not behind a port of ours.
pub(crate) fn describe(urb: &Urb) -> Result<Transfer> {
    let shape = match urb.transfer_type() {
        TransferType::Control => Shape::Control,
        TransferType::Bulk | TransferType::Interrupt => Shape::Stream,
        // "Host controller driver does not support queuing of this type."
        TransferType::Isochronous => return Err(ENXIO),
    };
    if !urb.has_buffer() || (shape == Shape::Control && urb.setup().is_none()) {
        return Err(EINVAL);
    }
    PortNumber::new(urb.root_port()).ok_or(ENODEV)?;
    Ok(
        Transfer::new(shape, direction(urb), urb.length(), urb.max_packet())
            .short_not_ok(urb.short_not_ok())
            .zero_packet(urb.zero_packet()),
    )
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

/// Lays out a piece; returns the layout and its length.
///
/// # Errors
///
/// `E2BIG` not even a packet fits, which does not happen.
pub(crate) fn plan(urb: &Urb, piece: &Piece, trusted: bool) -> Result<(Plan, u32)> {
    let lay_out = |trusted| {
        let fragments = urb.stretches(piece.offset).map(fragment);
        Plan::new(piece.offset, piece.limit, trusted, fragments)
    };
    let mut plan = lay_out(trusted);
    if plan.total() < piece.limit && piece.transfer.shape() != Shape::Stream {
        // It cannot be cut: the bounce pages, which waste no part of a segment,
        // hold 64 KiB.
        plan = lay_out(false);
    }
    let length = piece.transfer.cut(plan.total()).ok_or(E2BIG)?;
    plan.truncate(length);
    Ok((plan, length))
}

/// The request that carries a piece.
pub(crate) fn request(urb: &Urb, piece: &Piece, data: Segments) -> Result<Submit> {
    let kind = match urb.transfer_type() {
        TransferType::Control => Kind::Control(SetupPacket(urb.setup().ok_or(EINVAL)?)),
        TransferType::Bulk => Kind::Bulk,
        TransferType::Interrupt => Kind::Interrupt {
            // A hint: the backend goes by the device's own descriptor.
            interval: u16::try_from(urb.interval()).unwrap_or(u16::MAX),
        },
        TransferType::Isochronous => return Err(ENXIO),
    };
    Ok(Submit {
        id: piece.id,
        port: PortNumber::new(urb.root_port()).ok_or(ENODEV)?,
        device: urb.device_address(),
        endpoint: urb.endpoint(),
        direction: piece.transfer.direction(),
        short_not_ok: piece.transfer.is_short_not_ok(),
        kind,
        data,
    })
}
