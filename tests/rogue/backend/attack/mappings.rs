// SPDX-License-Identifier: GPL-2.0

//! Pages that stay mapped when their request has been answered, and are written to
//! afterwards. Of the frontend's own pages it may be so; a page of a driver's
//! is then lost to it, and the backend given up.

use super::Arena;
use crate::Result;
use ring::{SharedPage, PAGE_SIZE};

/// Pages that are held at a time. Xen counts 128 mappings of one grant, copies included
/// (`GNTPIN_incr2oflow_mask()`), and a PV domain maps each page twice (`use_ptemod` in
/// gntdev.c).
const HELD: usize = 32;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut left = arena.count;
    let mut held = Vec::new();
    while left > 0 {
        let mut session = arena.connect()?;
        while left > 0 {
            let Some(submit) = session.transfer()? else {
                break;
            };
            let response = session.device.transfer(&submit)?;
            for segment in submit.data.as_slice() {
                // What is granted for reading cannot be mapped for writing.
                held.extend(session.link.foreign.page(segment.gref));
            }
            session.answer(&response)?;
            left -= 1;
            for page in &held {
                page.store(
                    4 * arena.random.usize(..PAGE_SIZE / 4),
                    arena.random.u32(..),
                );
            }
            if held.len() > HELD {
                held.clear();
            }
        }
    }
    Ok(())
}
