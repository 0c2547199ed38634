// SPDX-License-Identifier: GPL-2.0

//! A listener in one of the kernel's notifier chains (include/linux/notifier.h).

use core::ptr;
use kernel::{
    bindings,
    ffi,
    prelude::*,
    types::Opaque, //
};

/// A place in a blocking notifier chain: whose calls and changes exclude each other.
///
/// # Safety
///
/// When `remove` returns, the chain does not call the block any more.
pub unsafe trait Chain: Send + Sync + 'static {
    /// Adds a block.
    ///
    /// # Safety
    ///
    /// It stays where it is and valid until it is removed.
    unsafe fn add(&self, block: *mut bindings::notifier_block) -> Result;

    /// Removes a block, and waits for running calls of it.
    ///
    /// # Safety
    ///
    /// It has been added.
    unsafe fn remove(&self, block: *mut bindings::notifier_block);

    /// Tells the listener what an event means.
    ///
    /// # Safety
    ///
    /// The chain has called with this event and this data.
    unsafe fn tell(&self, event: ffi::c_ulong, data: *mut ffi::c_void);
}

/// In a chain as long as this lives.
///
/// Dropping it waits for running calls: never from one.
#[pin_data(PinnedDrop)]
pub struct Member<C: Chain> {
    #[pin]
    block: Opaque<Block<C>>,
}

#[repr(C)]
struct Block<C> {
    raw: bindings::notifier_block,
    chain: C,
}

// SAFETY: there is nothing to do with a shared `Member`.
unsafe impl<C: Chain> Sync for Member<C> {}

// SAFETY: it may be removed anywhere, and a chain is `Send + Sync`.
unsafe impl<C: Chain> Send for Member<C> {}

impl<C: Chain> Member<C> {
    /// Joins; whatever error the chain has.
    pub(crate) fn new(chain: C) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            block <- Opaque::try_ffi_init(move |block: *mut Block<C>| {
                let raw = bindings::notifier_block {
                    notifier_call: Some(Self::call),
                    ..Default::default()
                };
                // SAFETY: `block` is valid for writing, and pinned from then on until `drop`
                // removes it.
                let added = unsafe {
                    block.write(Block { raw, chain });
                    (*block).chain.add(&raw mut (*block).raw)
                };
                if added.is_err() {
                    // SAFETY: written above, and known to nobody.
                    unsafe { ptr::drop_in_place(block) };
                }
                added
            }),
        }? Error)
    }

    extern "C" fn call(
        block: *mut bindings::notifier_block,
        event: ffi::c_ulong,
        data: *mut ffi::c_void,
    ) -> ffi::c_int {
        // NOTIFY_OK
        const OK: ffi::c_int = 1;
        // SAFETY: the chain calls us with the block that `new` added, the first field of a
        // `Block` which lives until it is removed; event and data are the chain's.
        unsafe { (*block.cast::<Block<C>>()).chain.tell(event, data) };
        OK
    }
}

#[pinned_drop]
impl<C: Chain> PinnedDrop for Member<C> {
    fn drop(self: Pin<&mut Self>) {
        let block = self.block.get();
        // SAFETY: `new` added the block; afterwards nobody calls it any more and it is ours
        // alone.
        unsafe {
            (*block).chain.remove(&raw mut (*block).raw);
            ptr::drop_in_place(block);
        }
    }
}
