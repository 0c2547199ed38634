// SPDX-License-Identifier: GPL-2.0

//! What the interleavings are explored on: a shared page and an event channel
//! made of loom's primitives, so that loom decides who runs when, and which of
//! the stores that have not been overwritten for it a load sees.

use loom::sync::{
    atomic::{fence, AtomicU32, Ordering},
    Condvar, Mutex,
};
use ring::SharedPage;
// Not loom's: who drops what when is not explored, and loom's would not survive
// the end of an execution that has failed.
use std::sync::Arc;

/// Bytes of an entry: a ring of two, so that places are used again soon.
pub const ENTRY: usize = 2000;

/// A page whose four indices and first words of both entries are shared. Clones
/// share them. Without `BARRIER`, [`SharedPage::full_barrier`] does nothing.
#[derive(Clone)]
pub struct Page<const BARRIER: bool>(Arc<[AtomicU32; 6]>);

impl<const BARRIER: bool> Page<BARRIER> {
    /// All zero.
    #[expect(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| AtomicU32::new(0))))
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        &self.0[match offset {
            0 | 4 | 8 | 12 => offset / 4,
            64 => 4,
            at => 5 + (at - 64 - ENTRY),
        }]
    }
}

impl<const BARRIER: bool> SharedPage for Page<BARRIER> {
    fn load(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }
    fn store(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }
    fn full_barrier(&self) {
        if BARRIER {
            fence(Ordering::SeqCst);
        }
    }
    // Entries are plain memory: nothing but the indices orders them.
    fn read(&self, offset: usize, out: &mut [u8]) {
        let word = self.word(offset).load(Ordering::Relaxed);
        out[..4].copy_from_slice(&word.to_le_bytes());
    }
    fn write(&self, offset: usize, bytes: &[u8]) {
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        self.word(offset).store(word, Ordering::Relaxed);
    }
}

/// An event channel, or a workqueue's item: whoever waits is woken once for any
/// number of events. Waiting for one that never comes is a deadlock, which loom
/// reports.
#[derive(Clone)]
pub struct Event(Arc<(Mutex<bool>, Condvar)>);

impl Event {
    /// Nothing has happened.
    #[expect(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    /// An event.
    pub fn notify(&self) {
        *self.0 .0.lock().unwrap() = true;
        self.0 .1.notify_one();
    }

    /// Waits for one.
    pub fn wait(&self) {
        let mut pending = self.0 .0.lock().unwrap();
        while !*pending {
            pending = self.0 .1.wait(pending).unwrap();
        }
        *pending = false;
    }
}

/// Explores `test`, with at most so many forced switches between threads.
pub fn explore(switches: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.check(test);
}
