// SPDX-License-Identifier: GPL-2.0

//! Work for the USB core without end: while one operation is done, the next is there.

use super::Arena;
use crate::Result;

/// A configuration that no device has.
const NONE_SUCH: u8 = 77;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    arena.in_batches(|connection, maker, _, left| {
        let batch = left.min(4);
        for _ in 0..batch {
            for device in &maker.devices {
                let id = connection.fresh_id();
                let setup = [0, 9, NONE_SUCH, 0, 0, 0, 0, 0];
                connection.push(&maker.plain(id, device, setup).encode())?;
            }
        }
        Ok(batch)
    })
}
