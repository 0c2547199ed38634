// SPDX-License-Identifier: GPL-2.0

//! A backend that starts anew all the time and lets go of everything. Each connection
//! costs the guest a bus, and lines of its log: there must be an end to it.

use super::Arena;
use crate::frontend::state::{CLOSED, CLOSING, CONNECTED, INIT_WAIT};
use crate::Result;
use std::time::{Duration, Instant};

/// So many connections are made in a row at most, if the frontend takes part.
const MOST: u64 = 40;
/// So many it may make at once, and in each so long.
const BURST: u64 = 10;
const INTERVAL: Duration = Duration::from_secs(5);
/// Who has not connected by then does not.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 5000 });

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let start = Instant::now();
        drop(arena.connect()?);
        let mut made = 1;
        while made < MOST {
            arena.vusb.show(CLOSING)?;
            arena.vusb.wait_frontend(&[CLOSED])?;
            arena.vusb.show(INIT_WAIT)?;
            if arena
                .vusb
                .wait_frontend_for(&[CONNECTED], PATIENCE)
                .is_err()
            {
                break;
            }
            drop(arena.vusb.map()?);
            arena.vusb.show(CONNECTED)?;
            made += 1;
        }
        let intervals = 1 + start.elapsed().as_secs() / INTERVAL.as_secs();
        if made > BURST * (intervals + 1) {
            return Err(format!("{made} connections in {intervals} times 5 s").into());
        }
    }
    Ok(())
}
