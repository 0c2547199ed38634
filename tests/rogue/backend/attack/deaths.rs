// SPDX-License-Identifier: GPL-2.0

//! A backend that ends at each point of the handshake and after it, in each way:
//! with nodes and mappings gone, or closing, or starting anew as if nothing were.

use super::super::session::Session;
use super::{Arena, HONEST};
use crate::frontend::state::{CLOSED, CLOSING, CONNECTED, INIT_WAIT};
use crate::Result;
use usbif::Speed;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        arena.vusb.make()?;
        let last = arena.random.u8(..7);
        let session = live(arena, last)?;
        end(arena, session, last >= 2)?;
    }
    Ok(())
}

/// Gets as far as step `last`.
fn live<'a>(arena: &mut Arena<'a>, last: u8) -> Result<Option<Session<'a>>> {
    if last == 0 {
        return Ok(None);
    }
    arena.vusb.show(INIT_WAIT)?;
    if last == 1 {
        return Ok(None);
    }
    arena.vusb.wait_rings()?;
    if last == 2 {
        return Ok(None);
    }
    let mut session = Session::new(arena.vusb, arena.vusb.map()?)?;
    if last >= 4 {
        arena.vusb.show(CONNECTED)?;
    }
    if last >= 5 {
        session.plug(Speed::High)?;
    }
    if last >= 6 {
        session.serve(arena.random.u32(..HONEST))?;
        let _ = session.request()?;
    }
    Ok(Some(session))
}

/// Ends; `published`: the frontend has rings to let go of.
fn end(arena: &mut Arena<'_>, session: Option<Session<'_>>, published: bool) -> Result<()> {
    match arena.random.u8(..5) {
        // Nodes first, or mappings first.
        0 => arena.vusb.remove()?,
        1 => {
            drop(session);
            arena.vusb.remove()?;
        }
        // Orderly, with requests in flight or without.
        2 if published => {
            let state = arena.choose(&[CLOSING, CLOSED]);
            arena.vusb.show(state)?;
            arena.vusb.wait_frontend(&[CLOSED])?;
            drop(session);
            arena.vusb.show(CLOSED)?;
            // The frontend is ready for the next one.
            arena.vusb.show(INIT_WAIT)?;
            arena.vusb.wait_rings()?;
        }
        // A new backend in the old one's place.
        3 => {
            drop(session);
            arena.vusb.show(INIT_WAIT)?;
        }
        // A process that ends leaves its nodes as they are.
        _ => drop(session),
    }
    Ok(())
}
