// SPDX-License-Identifier: GPL-2.0

//! A backend that starts anew and lets go of nothing: with new pages each time it
//! connects, a frontend would soon have none left to grant. It must not.

use super::Arena;
use crate::frontend::state::{CLOSED, INIT_WAIT};
use crate::Result;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let mut session = arena.connect()?;
        session.check()?;
        let mut held = Vec::new();
        while held.is_empty() {
            let submit = session.honest_transfer()?;
            let response = session.device.transfer(&submit)?;
            for segment in submit.data.as_slice() {
                held.extend(session.link.foreign.page(segment.gref));
            }
            session.answer(&response)?;
        }
        arena.vusb.show(INIT_WAIT)?;
        arena.vusb.wait_frontend(&[CLOSED])?;
    }
    Ok(())
}
