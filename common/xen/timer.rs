// SPDX-License-Identifier: GPL-2.0

//! Doing something later, on a queue of one's own.

use crate::queue::WorkQueue;
use kernel::{
    container_of,
    prelude::*,
    sync::Arc,
    time::{msecs_to_jiffies, Msecs},
    types::Opaque,
};
use xen_sys::bindings;

/// What to do when the time has come.
pub trait Handler: Send + Sync + 'static {
    /// Runs on the timer's queue. May arm the timer again, must not drop it.
    fn expired(&self);
}

/// A timer whose handler runs as an item of a [`WorkQueue`]. Not armed at first.
///
/// Dropping it disarms it and waits for a running handler: not from the
/// handler, and without a lock that the handler takes. Closing the queue does
/// not stop timers.
#[pin_data(PinnedDrop)]
pub struct Timer<H: Handler> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    queue: Arc<WorkQueue>,
    handler: Arc<H>,
}

// SAFETY: The C part may be used by any thread; the handler is `Send` and
// `Sync`.
unsafe impl<H: Handler> Send for Timer<H> {}
// SAFETY: As above.
unsafe impl<H: Handler> Sync for Timer<H> {}

impl<H: Handler> Timer<H> {
    /// A timer that is not armed.
    pub fn new(queue: Arc<WorkQueue>, handler: Arc<H>) -> impl PinInit<Self> {
        pin_init!(Self {
            work <- Opaque::ffi_init(|work: *mut bindings::delayed_work| {
                // SAFETY: `work` is memory for a delayed work, pinned. The
                // timer is only ever set by the workqueue code, which is what
                // `delayed_work_timer_fn` is for.
                unsafe {
                    bindings::init_work_with_key(
                        &raw mut (*work).work,
                        Some(Self::run),
                        false,
                        c"xen::timer".as_char_ptr(),
                        kernel::static_lock_class!().as_ptr(),
                    );
                    bindings::timer_init_key(
                        &raw mut (*work).timer,
                        Some(bindings::delayed_work_timer_fn),
                        bindings::TIMER_IRQSAFE,
                        c"xen::timer".as_char_ptr(),
                        kernel::static_lock_class!().as_ptr(),
                    );
                }
            }),
            queue,
            handler,
        })
    }

    /// Lets the handler run in `delay` milliseconds, or a little later. A timer
    /// that is armed already is set to the new time. From any context.
    pub fn arm(&self, delay: Msecs) {
        // SAFETY: The work is initialized and pinned, and disabled before it is
        // dropped; its queue is kept by `self`.
        unsafe {
            bindings::mod_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as kernel::ffi::c_int,
                self.queue.as_raw(),
                self.work.get(),
                msecs_to_jiffies(delay),
            );
        }
    }

    /// Disarms the timer, from any context; the handler may be running.
    pub fn disarm(&self) {
        // SAFETY: The work is initialized and pinned.
        unsafe { bindings::cancel_delayed_work(self.work.get()) };
    }

    /// Disarms the timer and waits for a running handler. Sleeps; not from the
    /// handler.
    pub fn disarm_and_wait(&self) {
        // SAFETY: The work is initialized and pinned.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }

    extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: The work is that of a delayed work,
        let delayed = unsafe { container_of!(work, bindings::delayed_work, work) };
        let delayed = delayed.cast::<Opaque<bindings::delayed_work>>();
        // SAFETY: which is the `work` of a `Timer<H>`.
        let this = unsafe { container_of!(delayed, Self, work) };
        // SAFETY: The drop waits for this call. Only shared references exist.
        let this = unsafe { &*this };
        this.handler.expired();
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for Timer<H> {
    fn drop(self: Pin<&mut Self>) {
        // For good: a handler that arms the timer again finds it disabled.
        //
        // SAFETY: The work is initialized and pinned.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
    }
}
