// SPDX-License-Identifier: GPL-2.0

//! Asking again when there was no memory.
//!
//! Each request to XenStore is allocated (`xs_talkv()`, `join()`), and so is much of what a
//! device is set up with. The kernel makes room within moments, and what was not
//! read or written by then would be lost: a state is told once.

use kernel::{
    prelude::*,
    time::{delay::fsleep, Delta},
};

/// Pauses of 1, 2, 4, … 512 ms: a second in all.
const PAUSES: u32 = 10;

/// Makes an attempt, and others for about a second as long as they end with `ENOMEM`.
/// Sleeps.
///
/// # Errors
///
/// The last attempt's.
pub fn patiently<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for pause in 0..PAUSES {
        match attempt() {
            Err(ENOMEM) => fsleep(Delta::from_millis(1i64.wrapping_shl(pause))),
            result => return result,
        }
    }
    attempt()
}
