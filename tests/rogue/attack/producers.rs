// SPDX-License-Identifier: GPL-2.0

//! A request producer that jumps, wraps or runs backwards.

use super::Arena;
use crate::frontend::connection::ENTRIES;
use crate::frontend::state::CLOSING;
use crate::frontend::{REQ_PROD, RSP_PROD};
use crate::Result;
use ring::SharedPage;
use std::thread::sleep;
use std::time::{Duration, Instant};
use usbif::URB_ENTRY;

const FIRST_ENTRY: usize = 64;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        // From where the ring is new, or the index wraps within its first requests.
        let start = match arena.random.u8(0..4) {
            0 => 0u32.wrapping_sub(arena.random.u32(1..=2 * ENTRIES)),
            _ => 0,
        };
        let connection = arena.vusb.connect_at(start)?;
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
        let end = start.wrapping_add(jump);
        page.store(REQ_PROD, end);
        connection.channel.notify()?;
        if jump > ENTRIES {
            arena.vusb.wait_backend(&[CLOSING])?;
            continue;
        }
        // As many entries as there are, full of nothing: each is answered.
        let begin = Instant::now();
        while page.load(RSP_PROD) != end {
            if begin.elapsed() > Duration::from_secs(60) {
                let answers = page.load(RSP_PROD).wrapping_sub(start);
                return Err(format!("{jump} entries have {answers} answers").into());
            }
            sleep(Duration::from_millis(5));
        }
        // Back to where it came from.
        page.store(REQ_PROD, end.wrapping_sub(1));
        connection.channel.notify()?;
        arena.vusb.wait_backend(&[CLOSING])?;
    }
    Ok(())
}
