// SPDX-License-Identifier: GPL-2.0

//! Connection events for ports and speeds that do not exist.

use super::super::PORTS;
use super::Arena;
use crate::Result;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let mut session = arena.somewhere()?;
        let any = arena.random.u8(PORTS + 1..);
        let beyond = [0, PORTS + 1, 31, 32, 128, 255, any];
        let (port, speed) = if arena.random.bool() {
            (arena.choose(&beyond), arena.random.u8(0..=3))
        } else {
            (arena.random.u8(1..=PORTS), arena.random.u8(4..))
        };
        let id = arena.random.bool().then(|| arena.random.u16(..));
        session.link.push_event(id, port, speed)?;
        session.link.publish()?;
        arena.must_be_given_up(&format!("speed {speed} on port {port}"))?;
    }
    Ok(())
}
