// SPDX-License-Identifier: GPL-2.0

//! Work for the USB core without end: while one operation is done, the next is there.

use super::Arena;
use crate::frontend::connection::KEPT;
use crate::Result;
use std::time::Duration;

/// A configuration that no device has: the core refuses it, and there is a pause.
const NONE_SUCH: u8 = 77;
/// Longer than the pause.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    arena.in_rounds(|connection, maker, random, mut left| {
        // Nothing is taken back before the end: then there would be gaps.
        while left > 0 {
            while connection.due() < KEPT {
                let id = connection.fresh_id();
                let device = &maker.devices[random.usize(..maker.devices.len())];
                let setup = [0, 9, NONE_SUCH, 0, 0, 0, 0, 0];
                connection.push(&maker.plain(id, device, setup).encode())?;
            }
            connection.publish()?;
            connection
                .collect(PATIENCE)?
                .ok_or("an operation is not answered")?;
            left -= 1;
        }
        connection.drain()
    })
}
