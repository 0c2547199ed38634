// SPDX-License-Identifier: GPL-2.0

//! New rings while requests are in flight on the old ones.

use super::maker::Maker;
use super::Arena;
use crate::frontend::state;
use crate::Result;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut connection = arena.vusb.connect()?;
    for _ in 0..arena.count {
        let devices = arena.devices(&mut connection)?;
        let maker = Maker::new(arena.vusb, devices)?;
        for _ in 0..arena.random.u8(1..=12) {
            let id = connection.fresh_id();
            let entry = if arena.random.bool() {
                maker.waiting(id, &mut arena.random)?.encode()
            } else {
                maker.correct(id, &mut arena.random)?
            };
            connection.push(&entry)?;
        }
        connection.publish()?;
        let mut next = arena.vusb.rings()?;
        next.offer_events()?;
        match arena.random.u8(0..3) {
            // The nodes change under a connection.
            0 => {
                arena.vusb.publish(&next)?;
                arena.vusb.propose()?;
            }
            // A frontend that starts anew without having closed.
            1 => {
                arena.vusb.publish(&next)?;
                arena.vusb.show(state::INITIALISING)?;
                arena.vusb.wait_backend(&[state::INIT_WAIT])?;
                arena.vusb.offer()?;
            }
            // The pages go while they are in use.
            _ => arena.vusb.show(state::CLOSED)?,
        }
        connection = arena.vusb.connect()?;
    }
    Ok(())
}
