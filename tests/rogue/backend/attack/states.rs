// SPDX-License-Identifier: GPL-2.0

//! States in every order, faster and slower than the frontend follows; with numbers
//! that are none, and none at all.

use super::Arena;
use crate::Result;
use std::thread::sleep;
use std::time::Duration;

const GARBAGE: [Option<&[u8]>; 9] = [
    None,
    Some(b""),
    Some(b"0"),
    Some(b"9"),
    Some(b"-1"),
    Some(b"garbage"),
    Some(b"4\0"),
    Some(b"99999999999999999999"),
    Some(&[b'4'; 3900]),
];
const ROUND: u64 = 40;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut left = arena.count;
    while left > 0 {
        let round = left.min(ROUND);
        left -= round;
        arena.vusb.make()?;
        for _ in 0..round {
            if arena.random.u8(..8) == 0 {
                let garbage = arena.choose(&GARBAGE);
                arena.vusb.write_any("state", garbage)?;
            } else {
                // InitWait and Connected most of all: more happens between these.
                let any = arena.random.u32(1..=8);
                let state = arena.choose(&[2, 4, any]);
                arena.vusb.show(state)?;
            }
            sleep(Duration::from_millis(arena.random.u64(..40)));
        }
    }
    Ok(())
}
