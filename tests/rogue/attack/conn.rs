// SPDX-License-Identifier: GPL-2.0

//! A conn ring whose indices lie, before and while it is used.

use super::Arena;
use crate::Result;
use ring::SharedPage;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const INDICES: [usize; 4] = [0, 4, 8, 12];
/// A producer and a consumer to begin with.
const BEGINNINGS: [(u32, u32); 9] = [
    (0, 0),
    (1, 0),
    (512, 0),
    (513, 0),
    (600, 0),
    (5, 10),
    (u32::MAX, u32::MAX),
    (255, u32::MAX - 255),
    (1 << 31, 0),
];

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        arena.vusb.settle()?;
        let connection = arena.vusb.rings()?;
        let page = connection.conn_page();
        let (requests, responses) = BEGINNINGS[arena.random.usize(..BEGINNINGS.len())];
        for (at, value) in INDICES.into_iter().zip([
            requests,
            arena.random.u32(..),
            responses,
            arena.random.u32(..),
        ]) {
            page.store(at, value);
        }
        for at in (64..4096).step_by(4) {
            page.store(at, arena.random.u32(..));
        }
        arena.vusb.publish(&connection)?;
        arena.vusb.show(crate::frontend::state::INITIALISING)?;
        let over = AtomicBool::new(false);
        let mut random = arena.random.fork();
        let scribbles = arena.random.bool();
        thread::scope(|scope| {
            if scribbles {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let at = INDICES[random.usize(..4)];
                        page.store(
                            at,
                            if random.bool() {
                                random.u32(..)
                            } else {
                                random.u32(0..600)
                            },
                        );
                        thread::yield_now();
                    }
                });
            }
            let offered = arena
                .vusb
                .offer()
                .and_then(|_| (0..8).try_for_each(|_| connection.channel.notify()));
            over.store(true, Ordering::Relaxed);
            offered
        })?;
        if arena.random.bool() {
            arena.vusb.pace();
        }
    }
    Ok(())
}
