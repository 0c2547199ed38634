// SPDX-License-Identifier: GPL-2.0

//! Indices that jump or run backwards: those that are the backend's, which the
//! frontend must not believe, and those that are its own, which it must not read.

use super::Arena;
use crate::xen::grant::Page;
use crate::Result;
use ring::SharedPage;
use std::thread::sleep;
use std::time::{Duration, Instant};

const REQ_PROD: usize = 0;
const REQ_EVENT: usize = 4;
const RSP_PROD: usize = 8;
const RSP_EVENT: usize = 12;
/// More than any ring has entries.
const FAR: u32 = 513;
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let session = arena.somewhere()?;
        let page = if arena.random.bool() {
            session.link.urb_page()
        } else {
            session.link.conn_page()
        };
        let any = arena.random.u32(..);
        if arena.random.u8(..4) == 0 {
            // No harm but a missed event; the next connection shows that.
            let index = arena.choose(&[REQ_PROD, REQ_EVENT, RSP_EVENT]);
            page.store(index, any);
            session.link.channel.notify()?;
            continue;
        }
        let now = taken_in(page);
        let jumps = [
            FAR,
            1 << 16,
            (1 << 31) - 1,
            1 << 31,
            u32::MAX,
            u32::MAX - 15,
        ];
        let far = arena.random.u32(FAR..=u32::MAX);
        let jump = if arena.random.bool() {
            arena.choose(&jumps)
        } else {
            far
        };
        page.store(RSP_PROD, now.wrapping_add(jump));
        session.link.channel.notify()?;
        arena.must_be_given_up("an impossible index")?;
    }
    Ok(())
}

/// The response index, when the frontend has consumed all that was said: a step back is
/// none for an end that has not followed.
fn taken_in(page: &Page) -> u32 {
    let now = page.load(RSP_PROD);
    let start = Instant::now();
    while page.load(RSP_EVENT) != now.wrapping_add(1) && start.elapsed() < PATIENCE {
        sleep(Duration::from_millis(1));
    }
    now
}
