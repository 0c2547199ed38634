// SPDX-License-Identifier: GPL-2.0

//! Responses that a second thread changes while the frontend reads them.
//!
//! Nobody knows which response the frontend has seen. If it was a lie, the
//! connection ends; that is how most rounds do.

use super::super::link::ENTRIES;
use super::super::session::Session;
use super::Arena;
use crate::xen::grant::Page;
use crate::Result;
use fastrand::Rng;
use ring::SharedPage;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use usbif::{Status, URB_ENTRY};

const FIRST_ENTRY: usize = 64;
/// One of so many words makes the answer a lie.
const LIES: u32 = 200;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut left = arena.count;
    while left > 0 {
        let mut session = arena.somewhere()?;
        let page = session.link.urb_page().clone();
        let over = AtomicBool::new(false);
        let random = arena.random.fork();
        thread::scope(|scope| {
            scope.spawn(|| scribble(&page, random, &over));
            // A request too may have been scribbled over: no error is the frontend's,
            // and the next connection shows whether it lives.
            while left > 0 && matches!(serve(&mut session), Ok(true)) {
                left -= 1;
            }
            over.store(true, Ordering::Relaxed);
        });
        left = left.saturating_sub(1);
    }
    Ok(())
}

/// One transfer; false: the frontend has given up.
fn serve(session: &mut Session<'_>) -> Result<bool> {
    let Some(submit) = session.transfer()? else {
        return Ok(false);
    };
    let response = session.device.transfer(&submit)?;
    session.answer(&response)?;
    Ok(true)
}

/// Writes words of an answer over words of any entry that holds one.
fn scribble(page: &Page, mut random: Rng, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let slot = random.usize(..ENTRIES as usize);
        let lie = random.u32(..LIES) == 0;
        let (at, word) = match random.u8(..3) {
            0 if lie => (4, random.u32(..)),
            0 => (4, Status::Stall.errno() as u32),
            1 if lie => (8, random.u32(..)),
            1 => (8, random.u32(..18)),
            _ => (12, random.u32(..)),
        };
        page.store(FIRST_ENTRY + slot * URB_ENTRY + at, word);
        thread::yield_now();
    }
}
