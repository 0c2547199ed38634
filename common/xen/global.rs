// SPDX-License-Identifier: GPL-2.0

//! What a driver's callbacks find without being given it.
//!
//! `probe` of a xenbus driver is told of its device and of nothing else, but what
//! it does depends on things that belong to the module. A [`Global`] is a place
//! for one such thing, filled while the module is loaded:
//!
//! `static BACKEND: Global<Backend> = Global::new();`

use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Full},
        rcu,
        Arc, //
    },
};

/// A static place for an `Arc`, empty at first.
pub struct Global<T: Send + Sync + 'static> {
    /// The address that `Arc::into_raw` gave, or 0.
    place: Atomic<usize>,
    _content: core::marker::PhantomData<Arc<T>>,
}

/// Empties the place when it is dropped.
pub struct Filled<T: Send + Sync + 'static>(&'static Global<T>);

impl<T: Send + Sync + 'static> Global<T> {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            place: Atomic::new(0),
            _content: core::marker::PhantomData,
        }
    }

    /// Fills the place for as long as the result lives.
    ///
    /// # Errors
    ///
    /// `EBUSY` it is filled already.
    pub fn fill(&'static self, content: Arc<T>) -> Result<Filled<T>> {
        let address = Arc::into_raw(content).expose_provenance();
        if self.place.cmpxchg(0, address, Full).is_err() {
            // SAFETY: The count that was just given up is taken back.
            drop(unsafe { Arc::from_raw(core::ptr::with_exposed_provenance::<T>(address)) });
            return Err(EBUSY);
        }
        Ok(Filled(self))
    }

    /// The content, while there is one. From any context.
    #[must_use]
    pub fn get(&'static self) -> Option<Arc<T>> {
        let _guard = rcu::read_lock();
        let address = self.place.load(Acquire);
        let content = NonNull::new(core::ptr::with_exposed_provenance_mut::<T>(address))?;
        // SAFETY: The address is that of an `Arc` whose count is given up only
        // after a grace period that starts when the place has been emptied, so
        // not before `_guard` is dropped.
        let borrowed = unsafe { kernel::sync::ArcBorrow::from_raw(content.as_ptr()) };
        Some(borrowed.into())
    }
}

impl<T: Send + Sync + 'static> Default for Global<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + Sync + 'static> Drop for Filled<T> {
    fn drop(&mut self) {
        let address = self.0.place.xchg(0, Full);
        rcu::synchronize_rcu();
        if address != 0 {
            // SAFETY: The address came from `Arc::into_raw` in `fill`, and the
            // count is given up once: the place was emptied.
            drop(unsafe { Arc::from_raw(core::ptr::with_exposed_provenance::<T>(address)) });
        }
    }
}
