// SPDX-License-Identifier: GPL-2.0

//! States in every order, faster and slower than the backend follows.

use super::Arena;
use crate::frontend::NODES;
use crate::Result;
use std::thread::sleep;
use std::time::Duration;

/// Initialising to Reconfigured: all that a frontend can show and stay one.
const STATES: std::ops::RangeInclusive<u32> = 1..=8;
const ROUND: u64 = 40;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut left = arena.count;
    while left > 0 {
        let round = left.min(ROUND);
        left -= round;
        let mut connection = arena.vusb.rings()?;
        connection.offer_events()?;
        for _ in 0..round {
            match arena.random.u8(0..4) {
                0 => arena.vusb.publish(&connection)?,
                1 => arena
                    .vusb
                    .store
                    .remove(&arena.vusb.node(NODES[arena.random.usize(..NODES.len())]))?,
                _ => {}
            }
            arena.vusb.show(arena.random.u32(STATES))?;
            sleep(Duration::from_millis(arena.random.u64(0..20)));
        }
        arena.vusb.settle()?;
    }
    Ok(())
}
