// SPDX-License-Identifier: GPL-2.0

//! No attack: a frontend of 2009, which behaves. It publishes `ring-ref` and an
//! event channel, has no conn ring, and learns from `port-N` what is there.

use super::maker::Maker;
use super::Arena;
use crate::frontend::stick::Stick;
use crate::Result;

/// Rounds of one connection.
const ROUNDS: u64 = 32;
/// Requests that are taken back at its end.
const WAITING: u64 = 8;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut left = arena.count;
    while left > 0 {
        let mut connection = arena.vusb.connect_old()?;
        for target in arena.targets {
            arena.vusb.wait_port(target.port)?;
        }
        let mut devices = arena.devices(&mut connection)?;
        let rounds = left.min(ROUNDS);
        left -= rounds;
        for (target, device) in arena.targets.iter().zip(&mut devices) {
            if !target.stick {
                continue;
            }
            let mut stick = Stick::new(device)?;
            for _ in 0..rounds {
                stick.check(&mut connection, &mut arena.random)?;
            }
        }
        let maker = Maker::new(arena.vusb, devices)?;
        maker.push_waiting(WAITING, &mut connection, &mut arena.random)?;
        connection.publish()?;
        connection.drain()?;
        connection.is_quiet()?;
        arena.vusb.settle()?;
    }
    Ok(())
}
