// SPDX-License-Identifier: GPL-2.0

//! A backend that is to end with a request at hand, and still is at it when the frontend has
//! closed. Until it has unmapped the rings, the number of a page that it was told must lead
//! to that page: with another one's behind it, an honest backend would write there.

use super::{Arena, HONEST};
use crate::frontend::state::{CLOSED, CLOSING};
use crate::Result;
use ring::PAGE_SIZE;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let mut session = arena.connect()?;
        session.serve(arena.random.u32(..HONEST))?;
        let gref = loop {
            let submit = session.honest_transfer()?;
            // A page that the transfer does not fill is the frontend's own; but for the last
            // one of a piece that was cut.
            match submit.data.as_slice() {
                [own] if usize::from(own.length) < PAGE_SIZE => break own.gref,
                _ => {}
            }
            let response = session.device.transfer(&submit)?;
            session.answer(&response)?;
        };
        let mark = arena.random.u64(..).to_le_bytes();
        session.link.foreign.write(gref, 0, &mark)?;
        arena.vusb.show(CLOSING)?;
        arena.vusb.wait_frontend(&[CLOSED])?;
        let mut found = [0; 8];
        match session.link.foreign.read(gref, 0, &mut found) {
            Ok(()) if found == mark => {}
            Ok(()) => return Err("the number of a request's page leads to another page".into()),
            Err(error) => return Err(format!("a request's page is gone: {error}").into()),
        }
    }
    Ok(())
}
