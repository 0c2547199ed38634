// SPDX-License-Identifier: GPL-2.0

//! Asking again, but not for ever: when there was no memory, or for what another domain
//! is to do.
//!
//! Each request to XenStore is allocated (`xs_talkv()`, `join()`), and so is much of what a
//! device is set up with. The kernel makes room within moments, and what was not
//! read or written by then would be lost: a state is told once.

use kernel::{
    prelude::*,
    time::{delay::fsleep, Delta, Instant, Monotonic},
};

/// Between two looks.
const PAUSE: Delta = Delta::from_millis(10);
/// No attempt begins later than this after the first one.
const LIMIT: Delta = Delta::from_secs(1);

/// Makes an attempt, and others for about a second as long as they end with `ENOMEM`,
/// with pauses of 1, 2, 4, … ms. An attempt that is patient itself takes none of it
/// twice: without any memory both give up after the same second. Sleeps.
///
/// # Errors
///
/// The last attempt's.
pub fn patiently<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::<Monotonic>::now();
    let mut pause = 1i64;
    loop {
        match attempt() {
            Err(ENOMEM) if start.elapsed() < LIMIT => fsleep(Delta::from_millis(pause)),
            result => return result,
        }
        pause = pause.saturating_mul(2);
    }
}

/// Waits until something is true. False: it is not, and so much time has passed. Sleeps.
pub fn wait(limit: Delta, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::<Monotonic>::now();
    while !condition() {
        if start.elapsed() > limit {
            return false;
        }
        fsleep(PAUSE);
    }
    true
}
