// SPDX-License-Identifier: GPL-2.0

//! A world without Xen for `cargo test`: the same interfaces as `xen`, and behind
//! them a small backend with a memory stick, or a small guest with a driver.
//!
//! It shows that an honest peer survives every attack, so that a complaint is
//! about the peer, and that the faults of a bad one are seen.

mod backend;
mod guest;
mod guest_tests;
mod stick;
mod tests;
pub(crate) mod xen;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

/// What guest and backend share.
#[derive(Default)]
struct World {
    nodes: Mutex<BTreeMap<String, Vec<u8>>>,
    /// How often the guest's frontend lost its directory; changed with `nodes` held.
    removals: AtomicU32,
    grants: Mutex<BTreeMap<u32, Weak<xen::grant::Memory>>>,
    next_grant: AtomicU32,
    channels: Mutex<BTreeMap<u32, Arc<Bell>>>,
    next_channel: AtomicU32,
    over: AtomicBool,
}

/// Both directions of an event channel.
#[derive(Default)]
struct Bell {
    /// Towards the guest.
    guest: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self) {
        *locked(&self.guest) = true;
        self.rung.notify_all();
    }
}

thread_local! {
    /// The world of the test that runs on this thread.
    static HERE: RefCell<Arc<World>> = RefCell::default();
}

fn here() -> Arc<World> {
    HERE.with_borrow(Clone::clone)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
