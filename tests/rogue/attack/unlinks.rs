// SPDX-License-Identifier: GPL-2.0

//! Unlinks of what is in flight, of what is not, of themselves.

use super::Arena;
use crate::Result;
use usbif::Request;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    arena.in_batches(|connection, maker, random, _left| {
        let waiting = random.u64(0..=4);
        let unlinks = random.u64(1..=8);
        let mut known = vec![0, 1, u16::MAX];
        known.extend(maker.push_waiting(waiting, connection, random)?);
        if random.bool() {
            connection.publish()?;
        }
        for _ in 0..unlinks {
            let id = match random.u8(0..4) {
                // An id that is in flight.
                0 => known[random.usize(..known.len())],
                _ => connection.fresh_id(),
            };
            let target = match random.u8(0..4) {
                0 => id,
                1 => random.u16(..),
                _ => known[random.usize(..known.len())],
            };
            known.push(id);
            let unlink = Request::Unlink {
                id,
                target,
                port: random.u8(0..32),
                device: random.u8(0..128),
            };
            let mut entry = unlink.encode();
            // What an unlink has no use for.
            entry[20..].fill_with(|| random.u8(..));
            connection.push(&entry)?;
        }
        Ok(waiting + unlinks)
    })
}
