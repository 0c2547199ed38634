// SPDX-License-Identifier: GPL-2.0

//! A request producer that jumps or runs backwards.

use super::Arena;
use crate::frontend::connection::ENTRIES;
use crate::frontend::state::CLOSING;
use crate::Result;
use ring::SharedPage;
use std::thread::sleep;
use std::time::{Duration, Instant};
use usbif::URB_ENTRY;

const REQ_PROD: usize = 0;
const RSP_PROD: usize = 8;
const FIRST_ENTRY: usize = 64;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let connection = arena.vusb.connect()?;
        let page = connection.urb_page();
        let any = arena.random.u32(..);
        let jumps = [
            1,
            2,
            16,
            17,
            18,
            32,
            1 << 31,
            (1 << 31) - 1,
            u32::MAX,
            u32::MAX - 15,
            any,
        ];
        let jump = jumps[arena.random.usize(..jumps.len())];
        for at in (FIRST_ENTRY..FIRST_ENTRY + ENTRIES as usize * URB_ENTRY).step_by(4) {
            // Words below 2^20 are no grant numbers of ours or the guest's, nor
            // are large ones; port 0 keeps the devices out of it.
            if at % URB_ENTRY != (FIRST_ENTRY + 4) % URB_ENTRY {
                page.store(at, arena.random.u32(1 << 20..));
            }
        }
        page.store(REQ_PROD, jump);
        connection.channel.notify()?;
        if jump > ENTRIES {
            arena.vusb.wait_backend(&[CLOSING])?;
            continue;
        }
        // As many entries as there are, full of nothing: each is answered.
        let start = Instant::now();
        while page.load(RSP_PROD) != jump {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(format!("{jump} entries have {} answers", page.load(RSP_PROD)).into());
            }
            sleep(Duration::from_millis(5));
        }
        // Back to where it came from.
        page.store(REQ_PROD, jump - 1);
        connection.channel.notify()?;
        arena.vusb.wait_backend(&[CLOSING])?;
    }
    Ok(())
}
