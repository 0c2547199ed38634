// SPDX-License-Identifier: GPL-2.0

//! Endpoints that are cleared, or changed with their interface, while requests are there.

use super::Arena;
use crate::Result;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    arena.in_batches(|connection, maker, random, left| {
        // At most half the ring: unlinks need the other half.
        let batch = random.u64(1..=8).min(left);
        for _ in 0..batch {
            let id = connection.fresh_id();
            let device = &maker.devices[random.usize(..maker.devices.len())];
            let end = device.endpoints[random.usize(..device.endpoints.len())];
            let entry = match random.u8(0..8) {
                0..=2 => maker.waiting(id, random)?.encode(),
                3 => maker.correct(id, random)?,
                // CLEAR_FEATURE(ENDPOINT_HALT), SET_INTERFACE.
                4..=6 => maker
                    .plain(id, device, [2, 1, 0, 0, end.address, 0, 0, 0])
                    .encode(),
                _ => maker
                    .plain(id, device, [1, 11, random.u8(0..2), 0, 0, 0, 0, 0])
                    .encode(),
            };
            connection.push(&entry)?;
            if random.bool() {
                connection.publish()?;
            }
        }
        Ok(batch)
    })
}
