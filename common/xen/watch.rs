// SPDX-License-Identifier: GPL-2.0

//! Being told that something in xenstore has changed.
//!
//! A watch does not say *what* has changed. Events that arrive while one is
//! still waiting to be handled are dropped where they arrive: whoever can write
//! below the path can cause at most one pending event (Xen security advisory
//! 349). So the handler looks at everything that it cares about.
//!
//! One kernel thread, xenwatch, runs the handlers of all drivers one after the
//! other. A handler should enqueue work and return.

use core::ptr::NonNull;
use kernel::{
    container_of,
    error::to_result,
    prelude::*,
    str::CString,
    sync::Arc,
    types::Opaque, //
};
use xen_sys::bindings;

/// What to do when something below a watched path has changed.
pub trait Handler: Send + Sync + 'static {
    /// The path, or something below it, may have changed. Called once soon
    /// after the watch is made, whether anything changed or not.
    fn changed(&self);
}

/// A watch on a path and everything below it. Its handler is not running any
/// more when the drop has returned, unless it was the handler that dropped it.
///
/// Also good for the special path `@releaseDomain` (a domain has gone).
///
/// Lock order: the drop waits for a running handler of *any* watch in the
/// kernel, so it must not hold a lock that a handler takes.
#[pin_data(PinnedDrop)]
pub struct Watch<H: Handler> {
    #[pin]
    raw: Opaque<bindings::xenbus_watch>,
    handler: Arc<H>,
    // Only for the kernel to read through `raw`.
    _path: CString,
}

// SAFETY: The C part is only used by the kernel, from any thread; the handler
// is `Send` and `Sync`.
unsafe impl<H: Handler> Send for Watch<H> {}
// SAFETY: As above; there is nothing to do with a shared reference.
unsafe impl<H: Handler> Sync for Watch<H> {}

impl<H: Handler> Watch<H> {
    /// Watches a path. The handler may be called before this returns.
    ///
    /// Errors: `EINVAL` no path at all, `EACCES`, `ENOSPC` over the quota of
    /// watches, `ENOMEM`.
    pub fn new(path: CString, handler: Arc<H>) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            raw: Opaque::new(bindings::xenbus_watch {
                node: path.as_char_ptr(),
                will_handle: Some(Self::will_handle),
                callback: Some(Self::callback),
                ..Default::default()
            }),
            handler,
            _path: path,
            _: {
                // SAFETY: All fields are initialized and pinned; when this
                // fails, the kernel has forgotten the watch.
                to_result(unsafe {
                    bindings::register_xenbus_watch(Self::raw_of(this))
                })?;
            },
        })
    }

    /// The kernel's part of a watch.
    ///
    /// # Safety
    ///
    /// `this` must point to the memory of a watch.
    unsafe fn raw_of(this: NonNull<Self>) -> *mut bindings::xenbus_watch {
        // SAFETY: By this function's contract. No reference is made.
        Opaque::cast_into(unsafe { &raw const (*this.as_ptr()).raw })
    }

    extern "C" fn will_handle(
        watch: *mut bindings::xenbus_watch,
        _path: *const kernel::ffi::c_char,
        _token: *const kernel::ffi::c_char,
    ) -> bool {
        // The count falls before the handler is called, so what happens while
        // it looks makes it look again.
        //
        // SAFETY: The kernel calls with a registered watch, and writes the
        // field under the lock that it now holds or from the one xenwatch
        // thread; read once.
        unsafe { (&raw const (*watch).nr_pending).read_volatile() == 0 }
    }

    extern "C" fn callback(
        watch: *mut bindings::xenbus_watch,
        _path: *const kernel::ffi::c_char,
        _token: *const kernel::ffi::c_char,
    ) {
        // The handler may drop the watch: keep it alive by its own count, and
        // do not touch the watch afterwards. The kernel does not either.
        let handler = {
            let raw = watch.cast::<Opaque<bindings::xenbus_watch>>();
            // SAFETY: The kernel calls with a registered watch, which is the
            // `raw` of a `Watch<H>`.
            let this = unsafe { container_of!(raw, Self, raw) };
            // SAFETY: A registered watch has not been dropped: the drop waits
            // for this call, or happens inside of it, later.
            unsafe { (*this).handler.clone() }
        };
        handler.changed();
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for Watch<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The watch was registered when it was initialized.
        unsafe { bindings::unregister_xenbus_watch(self.raw.get()) };
    }
}

/// Says when xenstore can be used: at once, except in a dom0 whose daemon is
/// not running yet. Before that, anything that asks xenstore waits for ever,
/// which in a module's init would hang the boot.
#[pin_data(PinnedDrop)]
pub struct Ready<H: Handler> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    handler: Arc<H>,
}

// SAFETY: As for `Watch`.
unsafe impl<H: Handler> Send for Ready<H> {}
// SAFETY: As for `Watch`.
unsafe impl<H: Handler> Sync for Ready<H> {}

impl<H: Handler> Ready<H> {
    /// Calls the handler once when xenstore can be used: from within this call,
    /// or later from a thread of the kernel. It may sleep, and must not drop
    /// this object.
    ///
    /// Errors: none in practice.
    pub fn new(handler: Arc<H>) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            block: Opaque::new(bindings::notifier_block {
                notifier_call: Some(Self::callback),
                ..Default::default()
            }),
            handler,
            _: {
                // SAFETY: All fields are initialized and pinned.
                to_result(unsafe {
                    let block = &raw const (*this.as_ptr()).block;
                    bindings::register_xenstore_notifier(Opaque::cast_into(block))
                })?;
            },
        })
    }

    extern "C" fn callback(
        block: *mut bindings::notifier_block,
        _event: kernel::ffi::c_ulong,
        _data: *mut kernel::ffi::c_void,
    ) -> kernel::ffi::c_int {
        let block = block.cast::<Opaque<bindings::notifier_block>>();
        // SAFETY: The kernel calls with a registered block, which is the
        // `block` of a `Ready<H>`.
        let this = unsafe { container_of!(block, Self, block) };
        // SAFETY: Unregistering waits for running calls.
        unsafe { (*this).handler.changed() };
        bindings::NOTIFY_DONE as kernel::ffi::c_int
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for Ready<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The block was registered when it was initialized. One that
        // was called at once is in no chain, which is no error here.
        unsafe { bindings::unregister_xenstore_notifier(self.block.get()) };
    }
}
