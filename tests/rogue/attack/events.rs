// SPDX-License-Identifier: GPL-2.0

//! Events with nothing behind them. They slow their sender down; its own honest
//! requests among them are still answered.

use super::Arena;
use crate::Result;

const PARTS: u64 = 8;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut connection = arena.vusb.connect()?;
    for _ in 0..PARTS {
        for _ in 0..arena.count.div_ceil(PARTS) {
            connection.channel.notify()?;
        }
        arena.check(&mut connection)?;
    }
    Ok(())
}
