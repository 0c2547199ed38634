// SPDX-License-Identifier: GPL-2.0

//! Log lines, and connections, that a peer can provoke, and therefore must not flood with
//! (Xen security advisory 157).

use kernel::{prelude::*, time::msecs_to_jiffies, types::Opaque};
use xen_sys::bindings;

/// Milliseconds in which [`BURST`] lines are allowed; the kernel's own default.
const INTERVAL: kernel::time::Msecs = 5000;
/// Lines allowed in a row; the kernel's own default.
const BURST: kernel::ffi::c_int = 10;

/// Ten lines in five seconds. Have one for each peer, so that one does not
/// silence the others:
/// `if limit.allows() { dev_warn!(dev, "…\n") }`.
#[pin_data]
pub struct RateLimit {
    #[pin]
    raw: Opaque<bindings::ratelimit_state>,
}

// SAFETY: The C code locks by itself.
unsafe impl Send for RateLimit {}
// SAFETY: As above.
unsafe impl Sync for RateLimit {}

impl RateLimit {
    /// A limit of which nothing has been used.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::ffi_init(|raw| {
                // CAST: Some thousand.
                let interval = msecs_to_jiffies(INTERVAL) as kernel::ffi::c_int;
                // SAFETY: `raw` is memory for the state.
                unsafe { bindings::pvusb_helper_ratelimit_init(raw, interval, BURST) };
            }),
        })
    }

    /// Whether one more line may be printed now; says itself how many were not.
    /// From any context.
    #[must_use]
    pub fn allows(&self) -> bool {
        // SAFETY: The state is initialized; the string is valid.
        unsafe { bindings::___ratelimit(self.raw.get(), c"pvusb".as_char_ptr()) != 0 }
    }
}
