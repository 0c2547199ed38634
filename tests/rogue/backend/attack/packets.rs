// SPDX-License-Identifier: GPL-2.0

//! Isochronous descriptors that are not those that were sent, or say what no
//! controller says.

use super::Arena;
use crate::Result;
use usbif::{IsoDescriptor, Segments};

/// One of so many answers is a lie, and ends the connection.
const LIES: u32 = 16;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut session = arena.connect()?;
    let mut left = arena.count;
    while left > 0 {
        let (submit, descriptors) = session.isochronous()?;
        let mut response = session.device.transfer(&submit)?;
        left -= 1;
        let mut packets = session.device.descriptors(&descriptors)?;
        let lies = arena.random.u32(..LIES) == 0;
        for packet in &mut packets {
            *packet = odd(packet, arena);
        }
        if lies {
            let at = arena.random.usize(..packets.len());
            packets[at] = lie(&packets[at], arena);
        }
        write(arena, &session, &descriptors, &packets)?;
        response.start_frame = arena.random.u16(..);
        response.error_count = arena.random.u32(..=i32::MAX as u32);
        session.answer(&response)?;
        if lies {
            arena.must_be_given_up("a packet that was not sent")?;
            session = arena.connect()?;
        }
    }
    Ok(())
}

/// Any status, and any part of its data.
fn odd(packet: &IsoDescriptor, arena: &mut Arena<'_>) -> IsoDescriptor {
    IsoDescriptor {
        actual_length: arena.random.u32(..=packet.length),
        ..*packet
    }
}

/// Another packet, or more data than it has room for.
fn lie(packet: &IsoDescriptor, arena: &mut Arena<'_>) -> IsoDescriptor {
    let mut lie = *packet;
    let any = arena.random.u32(1..);
    match arena.random.u8(..3) {
        0 => lie.offset = lie.offset.wrapping_add(any),
        1 => lie.length = lie.length.wrapping_add(any),
        _ => lie.actual_length = packet.length.saturating_add(any),
    }
    lie
}

/// Writes descriptors with statuses that no descriptor type would let through.
fn write(
    arena: &mut Arena<'_>,
    session: &super::super::session::Session<'_>,
    list: &Segments,
    packets: &[IsoDescriptor],
) -> Result<()> {
    let statuses = [
        0,
        0,
        -1,
        -18,
        -71,
        1,
        i32::MIN,
        i32::MAX,
        arena.random.i32(..),
    ];
    let mut bytes = Vec::new();
    for packet in packets {
        let mut one = packet.encode();
        one[12..].copy_from_slice(&arena.choose(&statuses).to_le_bytes());
        bytes.extend(one);
    }
    session.device.store(list, &bytes)
}
