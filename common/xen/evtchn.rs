// SPDX-License-Identifier: GPL-2.0

//! Event channels: interrupts between domains.
//!
//! All are of the "late EOI" kind: after an event the channel stays masked
//! until the driver says that it has dealt with it, so the other domain cannot
//! interrupt faster than we work (Xen security advisory 332), and the kernel
//! delays the channel further when we say that there was nothing to do.
//!
//! The handler runs in hard interrupt context and only enqueues work; the
//! worker calls [`EventChannel::eoi`] when it has found the ring empty. (A
//! threaded interrupt would only add a second hop before the ordered queue.)
//! The channel counts for you: an `eoi` without an event before it does
//! nothing, so there is exactly one for each.

use crate::device::Device;
use core::pin::Pin;
use kernel::{
    device::DeviceContext,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Atomic, AtomicFlag, Full, Relaxed},
        Arc, //
    },
};
use xen_sys::bindings;

/// No interrupt's number.
const UNBOUND: u32 = u32::MAX;

/// What to do on an event.
pub trait Handler: Send + Sync + 'static {
    /// The other domain has signalled. Hard interrupt context, interrupts off:
    /// enqueue work and return. May be called before the function that bound
    /// the channel has returned.
    fn event(&self);
}

/// Our end of an event channel, bound to an interrupt.
///
/// Dropping it waits for a running handler and closes the channel: do it in
/// process context, not from the handler, and without a lock that the handler
/// takes.
pub struct EventChannel<H: Handler> {
    // Set once, before the channel is given to anyone. The handler, which may
    // run earlier, does not look at it.
    irq: Atomic<u32>,
    port: u32,
    /// An event came and its EOI has not been sent.
    pending: AtomicFlag,
    handler: Arc<H>,
    // For a backend the kernel counts events in the device.
    _dev: ARef<Device>,
}

impl<H: Handler> EventChannel<H> {
    /// For a backend: binds to the channel that the other half of `dev` has
    /// made, `remote_port` in its counting. `name` is what `/proc/interrupts`
    /// shows.
    ///
    /// Events before this returns may already have found the worker without a
    /// channel to acknowledge: enqueue it once when the channel is in place.
    ///
    /// # Errors
    ///
    /// `EINVAL` and others from the hypervisor: no such channel. `ENOMEM`.
    pub fn bind<Ctx>(
        dev: &Device<Ctx>,
        remote_port: u32,
        name: &'static CStr,
        handler: Arc<H>,
    ) -> Result<Pin<KBox<Self>>>
    where
        Ctx: DeviceContext,
        for<'a> ARef<Device>: From<&'a Device<Ctx>>,
    {
        let this = Self::unbound(dev, remote_port, handler)?;
        // SAFETY: The device is valid and referenced as long as the channel.
        // The cookie is the channel, pinned until it is unbound in `drop`.
        let irq = unsafe {
            bindings::bind_interdomain_evtchn_to_irqhandler_lateeoi(
                dev.as_raw(),
                remote_port,
                Some(Self::interrupt),
                0,
                name.as_char_ptr(),
                Self::cookie(&this),
            )
        };
        Self::bound(this, irq)
    }

    /// For a frontend: makes a channel that the other half of `dev` may bind
    /// to. Its number is [`Self::port`], for the `event-channel` node. When no
    /// channel can be made the core reports it and switches to `Closing`.
    ///
    /// # Errors
    ///
    /// `ENOSPC` and others from the hypervisor, `ENOMEM`.
    pub fn allocate<Ctx>(
        dev: &Device<Ctx>,
        name: &'static CStr,
        handler: Arc<H>,
    ) -> Result<Pin<KBox<Self>>>
    where
        Ctx: DeviceContext,
        for<'a> ARef<Device>: From<&'a Device<Ctx>>,
    {
        let mut port = 0;
        // SAFETY: The device is valid and `port` can be written.
        kernel::error::to_result(unsafe {
            bindings::xenbus_alloc_evtchn(dev.as_raw(), &raw mut port)
        })?;
        let this = match Self::unbound(dev, port, handler) {
            Ok(this) => this,
            Err(error) => {
                // SAFETY: The port was made above and no one else closes it.
                unsafe { bindings::xenbus_free_evtchn(dev.as_raw(), port) };
                return Err(error);
            }
        };
        // On an error the port may be closed already or not, which cannot be
        // told. Closing it again could hit another one's, so leave it: it leads
        // nowhere.
        //
        // SAFETY: As in `bind`.
        let irq = unsafe {
            bindings::bind_evtchn_to_irqhandler_lateeoi(
                port,
                Some(Self::interrupt),
                0,
                name.as_char_ptr(),
                Self::cookie(&this),
            )
        };
        Self::bound(this, irq)
    }

    /// A channel in place in memory, with nothing to undo.
    fn unbound<Ctx>(dev: &Device<Ctx>, port: u32, handler: Arc<H>) -> Result<Pin<KBox<Self>>>
    where
        Ctx: DeviceContext,
        for<'a> ARef<Device>: From<&'a Device<Ctx>>,
    {
        let this = Self {
            irq: Atomic::new(UNBOUND),
            port,
            pending: AtomicFlag::new(false),
            handler,
            _dev: dev.into(),
        };
        Ok(KBox::pin(this, GFP_KERNEL)?)
    }

    /// What the kernel hands to [`Self::interrupt`] and knows the handler by.
    fn cookie(this: &Pin<KBox<Self>>) -> *mut kernel::ffi::c_void {
        let this: *const Self = &**this;
        this.cast_mut().cast()
    }

    /// Takes over the interrupt, or fails with the negative errno in its place.
    fn bound(this: Pin<KBox<Self>>, irq: kernel::ffi::c_int) -> Result<Pin<KBox<Self>>> {
        match u32::try_from(irq) {
            Ok(irq) => {
                this.irq.store(irq, Relaxed);
                Ok(this)
            }
            Err(_) => Err(Error::from_errno(irq)),
        }
    }

    /// The channel's number: our own for a frontend, the other domain's for a
    /// backend.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Signals the other domain. From any context.
    pub fn notify(&self) {
        // CAST: Interrupt numbers are small.
        //
        // SAFETY: The interrupt is ours and bound.
        unsafe { bindings::notify_remote_via_irq(self.irq.load(Relaxed) as kernel::ffi::c_int) };
    }

    /// For a frontend: whether no backend has bound to the channel, or the one that had
    /// is gone, however it ended. From any context.
    #[must_use]
    pub fn is_unbound(&self) -> bool {
        // SAFETY: A question to the hypervisor, about any number.
        unsafe { bindings::pvusb_helper_evtchn_is_unbound(self.port) }
    }

    /// Says that the last event has been dealt with; `spurious` when there was
    /// nothing to do. Unmasks the channel: what came meanwhile calls the handler
    /// at once. Without an event before it, does nothing. From any context.
    pub fn eoi(&self, spurious: bool) {
        if self.pending.xchg(false, Full) {
            let flags = if spurious {
                bindings::XEN_EOI_FLAG_SPURIOUS
            } else {
                0
            };
            // SAFETY: The interrupt is ours and bound, and masked since the
            // event whose flag we have just taken.
            unsafe { bindings::xen_irq_lateeoi(self.irq.load(Relaxed), flags) };
        }
    }

    extern "C" fn interrupt(
        _irq: kernel::ffi::c_int,
        cookie: *mut kernel::ffi::c_void,
    ) -> bindings::irqreturn_t {
        // SAFETY: The cookie is a channel, which is not dropped before the
        // interrupt has been freed, and that waits for us. Only shared
        // references to it exist.
        let this = unsafe { &*cookie.cast::<Self>() };
        this.pending.store(true, Relaxed);
        this.handler.event();
        bindings::irqreturn::IRQ_HANDLED
    }
}

impl<H: Handler> Drop for EventChannel<H> {
    fn drop(&mut self) {
        let irq = self.irq.load(Relaxed);
        if irq != UNBOUND {
            let cookie = (&raw mut *self).cast();
            // SAFETY: The interrupt was bound with this cookie: the channel is
            // pinned, so `self` is where it was then.
            unsafe { bindings::unbind_from_irqhandler(irq, cookie) };
        }
    }
}
