// SPDX-License-Identifier: GPL-2.0

//! Requests with anything wrong: ids, pipes, lengths, segments, packets.

use super::Arena;
use crate::Result;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    arena.in_batches(|connection, maker, random, left| {
        // At most half the ring: unlinks need the other half.
        let batch = random.u64(1..=8).min(left);
        for _ in 0..batch {
            let id = connection.fresh_id();
            connection.push(&maker.wrong(id, random)?)?;
        }
        Ok(batch)
    })
}
