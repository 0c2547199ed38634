// SPDX-License-Identifier: GPL-2.0

//! A state that is none, or no state at all, with requests in flight: to the
//! backend the frontend is gone for good.

use super::maker::Maker;
use super::Arena;
use crate::Result;

const STATES: [&[u8]; 8] = [
    b"0",
    b"",
    b"garbage",
    b"-1",
    b"9",
    b"4294967296",
    b"\0",
    b"99999999999999999999",
];

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut connection = arena.vusb.connect()?;
    let devices = arena.devices(&mut connection)?;
    let maker = Maker::new(arena.vusb, devices)?;
    maker.push_waiting(8, &mut connection, &mut arena.random)?;
    connection.publish()?;
    for _ in 0..arena.count {
        match arena.random.u8(0..10) {
            0 => arena.vusb.store.remove(&arena.vusb.node("state"))?,
            // What is above is not ours: the directory cannot be made again.
            1 => return arena.vusb.store.remove(arena.vusb.directory()),
            which => arena
                .vusb
                .store
                .write_bytes(&arena.vusb.node("state"), STATES[usize::from(which - 2)])?,
        }
    }
    Ok(())
}
