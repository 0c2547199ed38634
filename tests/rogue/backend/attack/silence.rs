// SPDX-License-Identifier: GPL-2.0

//! A backend that says nothing more, and is then removed with requests in flight.

use super::Arena;
use crate::Result;
use std::thread::sleep;
use std::time::Duration;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let mut session = arena.somewhere()?;
        // Some are taken off the ring, some are not.
        for _ in 0..arena.random.u8(..3) {
            session.request()?;
        }
        sleep(Duration::from_millis(arena.random.u64(..200)));
        arena.vusb.remove()?;
    }
    Ok(())
}
