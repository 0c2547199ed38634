// SPDX-License-Identifier: GPL-2.0

//! Asking again when there was no memory.

use kernel::{
    prelude::*,
    time::{Delta, Instant, Monotonic},
};
use xen::patience::patiently;

#[::kernel::macros::kunit_tests(pvusb_patience)]
mod pvusb_patience {
    use super::*;

    /// Memory that comes back in time is no error.
    #[test]
    fn goes_on_until_there_is_memory() {
        for failures in 0..5 {
            let mut attempts = 0;
            let result = patiently(|| {
                attempts += 1;
                if attempts > failures {
                    Ok(attempts)
                } else {
                    Err(ENOMEM)
                }
            });
            assert!(result == Ok(failures + 1));
        }
    }

    /// No other error is one that time heals.
    #[test]
    fn takes_any_other_answer() {
        let mut attempts = 0;
        let result: Result = patiently(|| {
            attempts += 1;
            Err(ENOENT)
        });
        assert!(result == Err(ENOENT));
        assert_eq!(attempts, 1);
    }

    /// It ends, and no later if what it asks is patient itself.
    #[test]
    fn gives_up() {
        for depth in 0..2 {
            let start = Instant::<Monotonic>::now();
            let mut attempts = 0;
            let mut attempt = || {
                attempts += 1;
                Err(ENOMEM)
            };
            let result: Result = if depth == 0 {
                patiently(attempt)
            } else {
                patiently(|| patiently(&mut attempt))
            };
            assert!(result == Err(ENOMEM));
            assert!(attempts > 1);
            // The last pause is as long as all before it.
            assert!(start.elapsed() < Delta::from_secs(4));
        }
    }
}
