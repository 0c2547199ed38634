// SPDX-License-Identifier: GPL-2.0

//! Pages of connections that are no more, until their backends have let go of them.
//!
//! A backend that was not waited for may still be at what it was asked, and copies by the
//! numbers of grants. When it has ended that, it unmaps the rings. Until then all of our own
//! pages stay granted, and no number becomes free: for if another driver of this
//! domain got it, the backend would write into that one's page.

use crate::memory::Memory;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
    time::Delta,
};
use xen::{
    global::{Filled, Global},
    patience::wait,
    ring_page::RingPage,
};

/// With so many connections whose backends have not let go, 2 MiB each, there is no new one.
const MOST: usize = 16;

/// How long the last backends may take to let go of the rings when the module goes.
const PATIENCE: Delta = Delta::from_secs(5);

/// Pages of one connection.
pub(crate) struct Kept {
    rings: [Option<RingPage>; 2],
    // Always there, but in the drop.
    memory: Option<Memory>,
    /// The backend may still be at what it was asked.
    unanswered: bool,
}

impl Kept {
    pub(crate) fn new(rings: [RingPage; 2], memory: Memory, unanswered: bool) -> Self {
        Self {
            rings: rings.map(Some),
            memory: Some(memory),
            unanswered,
        }
    }

    /// Ends the backend's access to those that it does not have mapped. True: that is all.
    pub(crate) fn end(&mut self) -> bool {
        for ring in &mut self.rings {
            *ring = ring.take().and_then(|page| page.end().err());
        }
        let rings = self.rings.iter().all(Option::is_none);
        self.unanswered &= !rings;
        !self.unanswered && self.memory.as_mut().is_none_or(Memory::end) && rings
    }

    /// Whether the backend has URBs' pages mapped, which their owners use again.
    pub(crate) fn lends(&self) -> bool {
        self.memory.as_ref().is_some_and(Memory::lends)
    }

    /// Their frontend goes: what the backend only has mapped is left to the kernel.
    pub(crate) fn put_away(mut self) {
        self.end();
        if let (true, Some(orphans)) = (self.unanswered, ORPHANS.get()) {
            orphans.look();
            // Without memory for the list it is lost, see below.
            let _ = orphans.kept.lock().push(self, GFP_KERNEL);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.unanswered {
            // Never used again, like the rings, which the kernel keeps.
            core::mem::forget(self.memory.take());
        }
    }
}

/// Those whose frontends are gone. They are looked at when a frontend connects or goes, and
/// at the end.
#[pin_data]
struct Orphans {
    #[pin]
    kept: Mutex<KVec<Kept>>,
}

static ORPHANS: Global<Orphans> = Global::new();

impl Orphans {
    /// Ends those that can be ended; returns how many are left.
    fn look(&self) -> usize {
        let mut kept = self.kept.lock();
        kept.retain(|kept| !kept.end());
        kept.len()
    }
}

/// Whether there are so many that no connection is to be made.
pub(crate) fn is_full() -> bool {
    ORPHANS.get().is_some_and(|orphans| orphans.look() >= MOST)
}

/// The list, for as long as the module is there. Goes after the driver.
pub(crate) struct List {
    orphans: Arc<Orphans>,
    _filled: Filled<Orphans>,
}

impl List {
    pub(crate) fn new() -> Result<Self> {
        let orphans = Arc::pin_init(
            pin_init!(Orphans {
                kept <- new_mutex!(KVec::new(), "xen_hcd::Orphans"),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self {
            _filled: ORPHANS.fill(orphans.clone())?,
            orphans,
        })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !wait(PATIENCE, || self.orphans.look() == 0) {
            pr_warn!("a backend has not let go of its rings; 2 MiB of memory are lost\n");
        }
    }
}
