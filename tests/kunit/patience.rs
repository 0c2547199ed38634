// SPDX-License-Identifier: GPL-2.0

//! Asking again when there was no memory.

use kernel::prelude::*;
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

    /// It ends.
    #[test]
    fn gives_up() {
        let mut attempts = 0;
        let result: Result = patiently(|| {
            attempts += 1;
            Err(ENOMEM)
        });
        assert!(result == Err(ENOMEM));
        assert_eq!(attempts, 11);
    }
}
