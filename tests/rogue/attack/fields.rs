// SPDX-License-Identifier: GPL-2.0

//! Requests with anything wrong: ids, pipes, lengths, segments, packets.

use super::maker::Maker;
use super::Arena;
use crate::Result;

/// Requests after which the devices are set up again, and honestly used.
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
            // At most half the ring: unlinks need the other half.
            let batch = arena.random.u64(1..=8).min(round);
            round -= batch;
            for _ in 0..batch {
                let id = connection.fresh_id();
                let entry = maker.wrong(id, &mut arena.random)?;
                connection.push(&entry)?;
            }
            connection.publish()?;
            connection.drain()?;
        }
        arena.check(&mut connection)?;
    }
    Ok(())
}
