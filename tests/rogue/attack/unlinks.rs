// SPDX-License-Identifier: GPL-2.0

//! Unlinks of what is in flight, of what is not, of themselves.

use super::maker::Maker;
use super::Arena;
use crate::Result;
use usbif::Request;

const ROUND: u64 = 2000;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut left = arena.count;
    let mut connection = arena.vusb.connect()?;
    while left > 0 {
        let devices = arena.devices(&mut connection)?;
        let maker = Maker::new(arena.vusb, devices)?;
        let mut round = left.min(ROUND);
        left -= round;
        while round > 0 {
            let waiting = arena.random.u64(0..=4);
            let unlinks = arena.random.u64(1..=8);
            let mut known = vec![0, 1, u16::MAX];
            for _ in 0..waiting {
                let id = connection.fresh_id();
                known.push(id);
                connection.push(&maker.waiting(id, &mut arena.random)?.encode())?;
            }
            if arena.random.bool() {
                connection.publish()?;
            }
            for _ in 0..unlinks {
                let id = match arena.random.u8(0..4) {
                    // An id that is in flight.
                    0 => known[arena.random.usize(..known.len())],
                    _ => connection.fresh_id(),
                };
                let target = match arena.random.u8(0..4) {
                    0 => id,
                    1 => arena.random.u16(..),
                    _ => known[arena.random.usize(..known.len())],
                };
                known.push(id);
                let unlink = Request::Unlink {
                    id,
                    target,
                    port: arena.random.u8(0..32),
                    device: arena.random.u8(0..128),
                };
                let mut entry = unlink.encode();
                // What an unlink has no use for.
                entry[20..].fill_with(|| arena.random.u8(..));
                connection.push(&entry)?;
            }
            connection.publish()?;
            connection.drain()?;
            round = round.saturating_sub(waiting + unlinks);
        }
        arena.check(&mut connection)?;
    }
    Ok(())
}
