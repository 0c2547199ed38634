// SPDX-License-Identifier: GPL-2.0

//! One half of a device on the xenbus.
//!
//! C header: `include/xen/xenbus.h`. The context parameter follows the kernel
//! crate: `Device<Core>` inside a driver's callback, `Device` anywhere else.
//! Everything here sleeps unless it says otherwise.

use crate::{
    patience::patiently,
    state::State,
    transaction::{transaction, Outcome},
    xenstore::{self, Store},
    DomId,
};
use core::{marker::PhantomData, mem::offset_of, ptr::NonNull};
use kernel::{device, fmt, prelude::*, str::CString, sync::aref::AlwaysRefCounted, types::Opaque};
use xen_sys::bindings;

/// A device of the xenbus (`struct xenbus_device`).
///
/// # Invariants
///
/// An instance is a valid `struct xenbus_device` that has been registered with
/// the driver core, so it is reference-counted and has a node name.
#[repr(transparent)]
pub struct Device<Ctx: device::DeviceContext = device::Normal>(
    Opaque<bindings::xenbus_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Device<Ctx> {
    pub(crate) fn as_raw(&self) -> *mut bindings::xenbus_device {
        self.0.get()
    }

    /// This half's directory in xenstore, for instance `backend/vusb/3/0`.
    #[must_use]
    pub fn nodename(&self) -> &CStr {
        // SAFETY: The string is set before the device is registered, never
        // changes, and is part of the device's own allocation, which lives as
        // long as `self`.
        unsafe { CStr::from_char_ptr((*self.as_raw()).nodename) }
    }

    /// The kind of device, for instance `vusb`.
    #[must_use]
    pub fn devicetype(&self) -> &CStr {
        // SAFETY: As in `nodename`.
        unsafe { CStr::from_char_ptr((*self.as_raw()).devicetype) }
    }

    /// The number that ends the node name: the vusb's number within its guest.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the name does not end in a decimal number.
    pub fn id(&self) -> Result<u32> {
        let name = self.nodename().to_bytes();
        let last = name.rsplit(|&byte| byte == b'/').next();
        xenstore::parse_decimal(last.unwrap_or_default()).ok_or(EINVAL)
    }

    /// Whether the core knows the other half. When this domain is restored it forgets
    /// it, and without finding it again tells the driver nothing (`xenbus_dev_restore()`).
    #[must_use]
    pub fn has_otherend(&self) -> bool {
        // SAFETY: A word of a valid device, of which only that it is null is of interest.
        !unsafe { (&raw const (*self.as_raw()).otherend).read_volatile() }.is_null()
    }

    /// The domain of the other half. Checked to be one before `probe` and
    /// `resume` are called; it only changes before `resume`.
    #[must_use]
    pub fn otherend_id(&self) -> DomId {
        // SAFETY: The field is valid for reads; it is read once, since the core
        // stores a new value when the domain has been restored.
        let id = unsafe { (&raw const (*self.as_raw()).otherend_id).read_volatile() };
        DomId::try_from(id).unwrap_or(crate::DOMID_FIRST_RESERVED)
    }

    /// The state that we have last shown to the other half. Does not sleep.
    #[must_use]
    pub fn state(&self) -> State {
        // SAFETY: As in `otherend_id`.
        State::from_raw(unsafe { (&raw const (*self.as_raw()).state).read_volatile() })
    }

    /// Shows the other half a new state, as `xenbus_switch_state()` does: the same state is
    /// not written again, and a `state` node that is gone is not made again. That function takes
    /// a node that it has no memory to read for one that is gone, and says nothing.
    pub fn switch_state(&self, state: State) {
        let old = self.state();
        // SAFETY: A word of a valid device, read once.
        let vanished = unsafe { (&raw const (*self.as_raw()).vanished).read_volatile() };
        if old == state || vanished {
            return;
        }
        let shown = transaction(|store| {
            match store.read_number(self.nodename(), c"state") {
                // The toolstack has made another device in our place: the core's business.
                Ok(now) if now == State::Initialising.as_raw() && now != old.as_raw() => {
                    return Ok(Outcome::Abort(false));
                }
                Ok(_) => {}
                Err(ENOENT | EINVAL) => return Ok(Outcome::Abort(true)),
                Err(error) => return Err(error),
            }
            store.write_number(self.nodename(), c"state", state.as_raw())?;
            Ok(Outcome::Commit(true))
        });
        match shown {
            // SAFETY: The device is valid; the core reads and writes the field without a lock,
            // as we do, from callbacks of the device and from its driver's threads.
            Ok(true) => unsafe {
                (&raw mut (*self.as_raw()).state).write_volatile(state.as_raw());
            },
            Ok(false) => {}
            Err(error) => {
                self.report_error(error, fmt!("state {} cannot be shown", state.as_raw()))
            }
        }
    }

    /// For a frontend that has closed: switches to `Closed` and lets a
    /// shutdown of this domain, which waits for it, go on.
    pub fn frontend_closed(&self) {
        self.switch_state(State::Closed);
        // SAFETY: The device is valid. The function always returns 0.
        unsafe { bindings::xenbus_frontend_closed(self.as_raw()) };
    }

    /// Whether our `state` node still exists, as far as can be told. When the toolstack has
    /// removed the tree, nothing may be written below it any more; for writes use
    /// [`Self::while_alive`], which asks in the same transaction.
    #[must_use]
    pub fn alive(&self) -> bool {
        Store::DIRECT.exists(self.nodename(), c"state") != Ok(false)
    }

    /// Runs `body` in a transaction that first looks whether our `state` node is
    /// still there, and does nothing when it is gone: the toolstack has removed the
    /// tree, and a write would bring a part of it back to life.
    ///
    /// Returns whether the tree was there.
    ///
    /// # Errors
    ///
    /// As [`transaction`].
    pub fn while_alive(&self, mut body: impl FnMut(&Store<'_>) -> Result) -> Result<bool> {
        transaction(|store| {
            match store.read::<16>(self.nodename(), c"state") {
                Ok(_) => {}
                Err(ENOENT) => return Ok(Outcome::Abort(false)),
                Err(error) => return Err(error),
            }
            body(store)?;
            Ok(Outcome::Commit(true))
        })
    }

    /// Writes an error into the log and into xenstore, where toolstacks look.
    /// Use [`dev_error!`](crate::dev_error).
    pub fn report_error(&self, error: Error, message: fmt::Arguments<'_>) {
        // SAFETY: The device is valid; `%pA` takes a pointer to
        // `fmt::Arguments`, which is valid during the call.
        unsafe {
            bindings::xenbus_dev_error(
                self.as_raw(),
                error.to_errno(),
                c"%pA".as_char_ptr(),
                (&raw const message).cast::<kernel::ffi::c_void>(),
            );
        }
    }

    /// As [`Self::report_error`], and asks both halves for an orderly end by
    /// switching to `Closing`. Use [`dev_fatal!`](crate::dev_fatal).
    pub fn report_fatal(&self, error: Error, message: fmt::Arguments<'_>) {
        self.report_error(error, message);
        self.switch_state(State::Closing);
    }
}

impl Device<device::Core<'_>> {
    /// The other half's directory in xenstore, copied: the core frees its own
    /// after `remove` and before `resume`.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the core has not found the other half, `ENOMEM`.
    pub fn otherend(&self) -> Result<CString> {
        // SAFETY: In a bus callback the core neither frees nor sets the path.
        let path = unsafe { (*self.as_raw()).otherend };
        if path.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: A non-null path is a string, valid as said above.
        let path = unsafe { CStr::from_char_ptr(path) };
        patiently(|| Ok(CString::try_from(path)?))
    }

    /// The state that the other half shows now, read from xenstore; `Unknown` when there is
    /// none, when it is hidden from us, or is no number. Needs no watch, so it also works
    /// within `resume`.
    ///
    /// # Errors
    ///
    /// It cannot be read, and may be any.
    pub fn otherend_state(&self) -> Result<State> {
        let state = self
            .otherend()
            .and_then(|path| Store::DIRECT.read_number(&path, c"state"));
        match state {
            Ok(number) => Ok(State::from_raw(number)),
            Err(ENOENT | EINVAL | ENODEV | EACCES) => Ok(State::Unknown),
            Err(error) => Err(error),
        }
    }
}

/// Reports an error of a device, in the log and in xenstore:
/// `dev_error!(dev, ENOENT, "no node {}", name)`.
#[macro_export]
macro_rules! dev_error {
    ($dev:expr, $error:expr, $($f:tt)*) => {
        $dev.report_error($error, ::kernel::prelude::fmt!($($f)*))
    };
}

/// Reports an error that ends a device: as `dev_error!`, then switches to
/// `Closing`.
#[macro_export]
macro_rules! dev_fatal {
    ($dev:expr, $error:expr, $($f:tt)*) => {
        $dev.report_fatal($error, ::kernel::prelude::fmt!($($f)*))
    };
}

// SAFETY: `Device` is a transparent wrapper of `struct xenbus_device`, whose
// `dev` field is the embedded `struct device`.
unsafe impl<Ctx: device::DeviceContext> device::AsBusDevice<Ctx> for Device<Ctx> {
    const OFFSET: usize = offset_of!(bindings::xenbus_device, dev);
}

// SAFETY: `Device` is a transparent wrapper of a type that does not depend on
// its generic argument.
kernel::impl_device_context_deref!(unsafe { Device });
kernel::impl_device_context_into_aref!(Device);

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Device<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: `self.as_raw()` is valid by the type invariant.
        let dev = unsafe { &raw mut (*self.as_raw()).dev };
        // SAFETY: `dev` points to a valid `struct device`.
        unsafe { device::Device::from_raw(dev) }
    }
}

// SAFETY: The embedded `struct device` counts references to the whole.
unsafe impl AlwaysRefCounted for Device {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not zero.
        unsafe { bindings::get_device(&raw mut (*self.as_raw()).dev) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        let raw: *mut bindings::xenbus_device = obj.cast().as_ptr();
        // SAFETY: By the function's contract the caller gives up a reference.
        unsafe { bindings::put_device(&raw mut (*raw).dev) };
    }
}

// SAFETY: A device is reference-counted and can be released by any thread.
unsafe impl Send for Device {}

// SAFETY: Its methods may run concurrently: they read fields that never change
// or read them once, and the xenbus functions do their own locking.
unsafe impl Sync for Device {}
