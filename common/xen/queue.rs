// SPDX-License-Identifier: GPL-2.0

//! A workqueue of one's own.
//!
//! The kernel crate's queues live for ever and cannot be waited for, so that an
//! item could outlive its device, or the module's code. Dropping this one runs
//! what was enqueued and waits for it.

use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, AtomicFlag, Release},
        rcu,
        Arc, //
    },
    workqueue::{HasWork, Queue, RawWorkItem, Work, WorkItem},
};
use xen_sys::bindings;

/// How a [`WorkQueue`] treats its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// In the soft interrupt of the processor that enqueues: no thread has to be
    /// woken. Items must not sleep.
    Soft,
    /// On the processor that enqueues, by workers of ordinary priority, one of
    /// them kept in reserve for when memory is short: block devices depend on
    /// it. An item never runs twice at once. Its items must not wait for
    /// ordinary workqueues. Not of high priority: who makes much work for them,
    /// such as a guest, would leave other processes one part in ninety. It stands
    /// still while the system sleeps, from before devices do until after they wake.
    Data,
    /// One item at a time in the order of enqueuing; items may take long. A worker is kept
    /// in reserve for when memory is short. Items may wait for others' works all the same:
    /// for those that need no memory.
    Ordered,
    /// One item at a time, without a reserve, and it stands still while the system sleeps, as what removes devices must.
    OrderedFreezable,
    /// Different items at the same time, each never twice at once; items may
    /// take long. The kernel picks the number of workers. It stands still while the
    /// system sleeps.
    Concurrent,
}

/// A workqueue that ends with its owner.
///
/// Dropping it waits for its items, so it must not be dropped *by* one of its
/// items, through the last `Arc` of what owns it: it would wait for itself. Call
/// [`Self::close`] in the driver's `remove`; after that no item holds anything.
pub struct WorkQueue {
    raw: NonNull<bindings::workqueue_struct>,
    open: AtomicFlag,
}

// SAFETY: Workqueues may be used and destroyed by any thread.
unsafe impl Send for WorkQueue {}
// SAFETY: As above.
unsafe impl Sync for WorkQueue {}

impl WorkQueue {
    /// Makes a queue. The name, of which 31 bytes are used, is what `ps` shows
    /// of its workers.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(name: &CStr, class: Class) -> Result<Self> {
        const ORDERED: u32 = bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags___WQ_ORDERED;
        const LOCAL: u32 = bindings::wq_flags_WQ_PERCPU;
        const FREEZABLE: u32 = bindings::wq_flags_WQ_FREEZABLE;
        const SOON: u32 = bindings::wq_flags_WQ_BH | bindings::wq_flags_WQ_HIGHPRI;
        // With `__WQ_LEGACY` the kernel leaves it to us what a worker in reserve waits for
        // (`check_flush_dependency()`).
        const RESERVED: u32 = bindings::wq_flags_WQ_MEM_RECLAIM | bindings::wq_flags___WQ_LEGACY;
        let (flags, most) = match class {
            Class::Soft => (LOCAL | SOON, 0),
            Class::Data => (LOCAL | FREEZABLE | bindings::wq_flags_WQ_MEM_RECLAIM, 1),
            Class::Ordered => (ORDERED | RESERVED, 1),
            Class::OrderedFreezable => (ORDERED | FREEZABLE, 1),
            Class::Concurrent => (FREEZABLE | bindings::wq_flags_WQ_UNBOUND, 0),
        };
        // SAFETY: The format takes one string, which is valid.
        let raw = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, most, name.as_char_ptr())
        };
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            open: AtomicFlag::new(true),
        })
    }

    /// Enqueues an item, from any context. `false`: it is waiting in a queue
    /// already and will run once, or this queue has been closed.
    ///
    /// The queue takes a count of its own. When the item ran and the count was
    /// the last one, a worker of this queue drops the item.
    pub fn enqueue<T, const ID: u64>(&self, item: &Arc<T>) -> bool
    where
        T: WorkItem<ID, Pointer = Arc<T>> + HasWork<T, ID> + Send + Sync + 'static,
        Arc<T>: RawWorkItem<ID, EnqueueOutput = core::result::Result<(), Arc<T>>>,
    {
        // `close` waits for this section after it has changed the flag.
        let _guard = rcu::read_lock();
        if !self.open.load(Acquire) {
            return false;
        }
        // SAFETY: The queue is valid as long as `self`.
        let queue = unsafe { Queue::from_raw(self.raw.as_ptr()) };
        // A count that is given back is not the last one: the caller has one.
        queue.enqueue::<Arc<T>, ID>(item.clone()).is_ok()
    }

    /// Accepts no more items. This one is not run any more if it waits, and has run if it
    /// does. Not from the item.
    pub fn cancel<T, const ID: u64>(&self, item: &Arc<T>)
    where
        T: WorkItem<ID, Pointer = Arc<T>> + HasWork<T, ID> + Send + Sync + 'static,
    {
        self.shut();
        let place = Arc::as_ptr(item);
        // SAFETY: The item is valid, and so is the work in it, which was made with it.
        let cancelled = unsafe {
            let work = T::raw_get_work(place.cast_mut());
            bindings::cancel_work_sync(Work::raw_get(work))
        };
        if cancelled {
            // SAFETY: The count that the queue has taken when it was enqueued, and which
            // running it would have dropped (`WorkItemPointer for Arc`).
            drop(unsafe { Arc::from_raw(place) });
        }
    }

    /// Waits until what is enqueued now has run. Not from one of its items.
    pub fn flush(&self) {
        // SAFETY: The queue is valid as long as `self`.
        unsafe { bindings::__flush_workqueue(self.raw.as_ptr()) };
    }

    /// Accepts no more items, then waits until all have run. Not from one of
    /// its items. Can be called again.
    pub fn close(&self) {
        self.shut();
        self.flush();
    }

    fn shut(&self) {
        self.open.store(false, Release);
        // Whoever saw it open has enqueued when this returns; and items cannot
        // enqueue others any more.
        rcu::synchronize_rcu();
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::workqueue_struct {
        self.raw.as_ptr()
    }
}

impl Drop for WorkQueue {
    fn drop(&mut self) {
        // Runs what is left, also what items enqueue meanwhile.
        //
        // SAFETY: The queue is ours and is not used again.
        unsafe { bindings::destroy_workqueue(self.raw.as_ptr()) };
    }
}
