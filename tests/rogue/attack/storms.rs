// SPDX-License-Identifier: GPL-2.0

//! Connections that end at any point.

use super::maker::Maker;
use super::Arena;
use crate::frontend::state;
use crate::Result;
use std::thread::sleep;
use std::time::Duration;

/// Every so many connections get as far as the devices.
const WITH_DEVICES: u64 = 16;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for number in 0..arena.count {
        if number % WITH_DEVICES == 0 {
            let mut connection = arena.vusb.connect()?;
            let devices = arena.devices(&mut connection)?;
            let maker = Maker::new(arena.vusb, devices)?;
            maker.push_waiting(8, &mut connection, &mut arena.random)?;
            connection.publish()?;
        }
        arena.vusb.show(state::CLOSED)?;
        arena
            .vusb
            .wait_backend(&[state::INIT_WAIT, state::CONNECTED])?;
        let mut connection = arena.vusb.rings()?;
        if arena.random.bool() {
            connection.offer_events()?;
        }
        arena.vusb.publish(&connection)?;
        arena.vusb.propose()?;
        match arena.random.u8(0..3) {
            0 => {}
            1 => sleep(Duration::from_millis(arena.random.u64(0..30))),
            _ => {
                arena
                    .vusb
                    .wait_backend(&[state::CONNECTED, state::CLOSING])?;
            }
        }
    }
    arena.vusb.settle()
}
