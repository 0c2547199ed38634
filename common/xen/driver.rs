// SPDX-License-Identifier: GPL-2.0

//! A driver on the xenbus: the trait, and its registration with the core.
//!
//! # Who calls what, when (kernel 7.3, `drivers/xen/xenbus/xenbus_probe.c`)
//!
//! * The core takes a module reference before `probe` and gives it back after
//!   `remove`: with a device bound, `rmmod` says "in use".
//! * `probe`'s initializer runs before the data is stored in the device. A
//!   watch or an interrupt that the initializer registers may therefore run
//!   before `probe` has returned: it must reach what it needs through an `Arc`
//!   of its own, never through the device.
//! * `otherend_changed` runs in the xenwatch thread, only after a successful
//!   `probe` and never again once `remove` has begun.
//! * `remove` runs with the data still in place. When it has returned, the
//!   driver core frees the data: first its `Drop`, then its fields in order.
//!   Watches, timers and event channels stop calling when they are dropped.
//! * Unbinding holds the device's lock and waits for a running
//!   `otherend_changed`. So `otherend_changed` must not take that lock: that is
//!   why it *returns* [`Then::Unregister`].
//!
//! # What overwrites the data
//!
//! `usb_create_hcd()` stores its own pointer in the data slot of the device it
//! is given. The driver core would take it for the driver's data and free it as
//! such. Whoever calls it must put the old pointer back before anything else
//! runs (`hcd` in the USB layer does), both in `probe`, where the old pointer
//! is NULL, and later.

use crate::{device::Device, device_file::Text, state::State, DOMID_FIRST_RESERVED};
use core::{marker::PhantomData, mem::offset_of};
use kernel::{
    device::{self, Core, CoreInternal},
    driver,
    error::{from_result, to_result},
    prelude::*,
    types::Opaque,
};
use xen_sys::bindings;

/// Which half of a device a driver drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The half that serves, under `backend/<type>/<domid>/<id>`.
    Backend,
    /// The half that uses, under `device/<type>/<id>`.
    Frontend,
}

/// What the core shall do after a change of the other half was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Stay,
    /// Remove the device from this kernel: for a backend that has closed for
    /// good (`online` is 0). `remove` is called and the data is freed.
    Unregister,
}

/// A driver of one half of a kind of device.
pub trait Driver: 'static {
    /// The driver's data, one per bound device, pinned. What outlives a
    /// callback (work items, watches, interrupts) holds an `Arc` of a part.
    type Data: Send + Sync + 'static;

    /// The half.
    const SIDE: Side;

    /// The kind of device (`vusb`), at most 31 bytes.
    const ID: &'static CStr;

    /// Keep our state as it is when unbound, so that another driver can be
    /// bound, instead of switching to `Closed`.
    const ALLOW_REBIND: bool = false;

    /// Do not make the boot wait for this frontend to connect.
    const NOT_ESSENTIAL: bool = true;

    /// Name of a text file in the device's directory in sysfs, readable by all.
    const FILE: Option<&'static CStr> = None;

    /// Writes what that file says. Sleeps if it wants to.
    ///
    /// # Errors
    ///
    /// The text does not fit in a page.
    fn show(
        _dev: &Device<Core<'_>>,
        _data: Pin<&Self::Data>,
        _text: &mut Text<'_>,
    ) -> kernel::fmt::Result {
        Ok(())
    }

    /// Names of the files in the directory `counters` beside it, each with one
    /// number; at most
    /// [`MOST_COUNTERS`](crate::xenbus::MOST_COUNTERS).
    const COUNTERS: &'static [&'static CStr] = &[];

    /// The number of the counter with this place in the list. Sleeps if it wants to.
    fn counter(_dev: &Device<Core<'_>>, _data: Pin<&Self::Data>, _index: usize) -> Option<u64> {
        None
    }

    /// Binds to a new device. The other half exists, its domain is valid.
    fn probe<'a>(dev: &'a Device<Core<'_>>) -> impl PinInit<Self::Data, Error> + 'a;

    /// The other half's `state` was written. Xenwatch serves the whole kernel
    /// and is blocked meanwhile. May be called again with the same state. `Unknown`: it is
    /// gone, hidden, or no state.
    fn otherend_changed(dev: &Device<Core<'_>>, data: Pin<&Self::Data>, state: State) -> Then;

    /// Unbinds. The `state` node may be gone already. Nothing that could still
    /// run afterwards may use the device's rings or data.
    fn remove(dev: &Device<Core<'_>>, data: Pin<&Self::Data>);

    /// The domain is about to be suspended, saved or migrated (frontends).
    /// An error only makes a line in the log.
    ///
    /// # Errors
    ///
    /// Whatever went wrong.
    fn suspend(_dev: &Device<Core<'_>>, _data: Pin<&Self::Data>) -> Result {
        Ok(())
    }

    /// The domain runs again elsewhere (frontends): the other half is a new
    /// one, all grants and event channels are void, our state reads
    /// `Initialising`. The watch on the other half is not there yet, and this
    /// may run inside xenwatch, so no watch may be waited for: use
    /// [`Device::otherend_state`]. Not called when the suspend was cancelled.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; the device is then not watched any more.
    fn resume(_dev: &Device<Core<'_>>, _data: Pin<&Self::Data>) -> Result {
        Ok(())
    }
}

/// A driver's registration; unregisters, unbinding all devices, when dropped.
///
/// `Registration::<MyDriver>::new(c"vusb", module)`, in a module's pinned
/// state. Fails with `ENODEV`, and says so in the log, when this kernel does
/// not run under Xen.
pub type Registration<T> = driver::Registration<Adapter<T>>;

/// Connects a [`Driver`] to the C core.
pub struct Adapter<T: Driver>(PhantomData<T>);

// SAFETY:
// - `xenbus_driver` is a C type declared as `repr(C)`.
// - `T::Data` is the type of the driver's device private data.
// - `struct xenbus_driver` embeds its `struct device_driver` in `driver`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::xenbus_driver;
    type DriverData<'bound> = T::Data;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(bindings::xenbus_driver, driver);
}

// SAFETY: `unregister` undoes a successful `register` of the same driver.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
    unsafe fn register(
        drv: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // The buses are there even without Xen: registering would succeed and
        // the module would sit there for nothing.
        if !crate::domain() {
            pr_err!(
                "{}: this kernel does not run under Xen, so there is nothing to drive\n",
                name
            );
            return Err(ENODEV);
        }

        let raw = drv.get();
        // SAFETY: `raw` is valid and no one else knows it before registration.
        unsafe {
            (*raw).name = name.as_char_ptr();
            (*raw).ids = Self::IDS.0.as_ptr();
            (*raw).allow_rebind = T::ALLOW_REBIND;
            (*raw).not_essential = T::NOT_ESSENTIAL;
            (*raw).probe = Some(Self::probe);
            (*raw).otherend_changed = Some(Self::otherend_changed);
            (*raw).remove = Some(Self::remove);
            (*raw).suspend = Some(Self::suspend);
            (*raw).resume = Some(Self::resume);
            (*raw).driver.dev_groups = Self::groups();
        }

        let register = match T::SIDE {
            Side::Backend => bindings::__xenbus_register_backend,
            Side::Frontend => bindings::__xenbus_register_frontend,
        };
        // SAFETY: `raw` is filled in and, by this function's contract, stays
        // valid until `unregister`.
        to_result(unsafe { register(raw, module.as_ptr(), name.as_char_ptr()) })
    }

    unsafe fn unregister(drv: &Opaque<Self::DriverType>) {
        // SAFETY: By this function's contract `drv` is registered.
        unsafe { bindings::xenbus_unregister_driver(drv.get()) };
    }
}

/// A table of the one kind of device that a driver serves, and the empty entry
/// that ends it.
struct Ids([bindings::xenbus_device_id; 2]);

impl Ids {
    const fn new(kind: &CStr) -> Self {
        const NONE: bindings::xenbus_device_id = bindings::xenbus_device_id {
            devicetype: [0; 32],
        };
        let mut first = NONE;
        let bytes = kind.to_bytes();
        assert!(bytes.len() < first.devicetype.len());
        let mut at = 0;
        while at < bytes.len() {
            #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
            {
                // Evaluated by the compiler: out of range would not build.
                first.devicetype[at] = bytes[at] as kernel::ffi::c_char;
                at += 1;
            }
        }
        Ids([first, NONE])
    }
}

impl<T: Driver> Adapter<T> {
    const IDS: &'static Ids = &Ids::new(T::ID);

    /// Refuses an other half that is no ordinary domain, which a toolstack's
    /// slip could produce: everything later may rely on it.
    fn check_otherend(dev: &Device<CoreInternal<'_>>) -> Result {
        // SAFETY: The field is valid and does not change during a callback.
        let id = unsafe { (*dev.as_raw()).otherend_id };
        if (0..i32::from(DOMID_FIRST_RESERVED)).contains(&id) {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// The driver's data.
    ///
    /// # Safety
    ///
    /// Only between a successful `probe` and the end of `remove`.
    pub(crate) unsafe fn data<'a>(dev: &'a Device<CoreInternal<'_>>) -> Pin<&'a T::Data> {
        let dev: &device::Device<CoreInternal<'_>> = dev.as_ref();
        // SAFETY: By this function's contract `set_drvdata` has been called
        // with a `T::Data`, and the core has not freed it.
        unsafe { dev.drvdata_borrow::<T::Data>() }
    }

    extern "C" fn probe(
        dev: *mut bindings::xenbus_device,
        _id: *const bindings::xenbus_device_id,
    ) -> kernel::ffi::c_int {
        // SAFETY: The core calls back with a valid device, for the duration of
        // the call.
        let dev = unsafe { &*dev.cast::<Device<CoreInternal<'_>>>() };
        from_result(|| {
            Self::check_otherend(dev)?;
            let data = T::probe(dev);
            let dev: &device::Device<CoreInternal<'_>> = dev.as_ref();
            dev.set_drvdata(data)?;
            Ok(0)
        })
    }

    extern "C" fn otherend_changed(
        raw: *mut bindings::xenbus_device,
        state: bindings::xenbus_state,
    ) {
        let then = {
            // SAFETY: As in `probe`.
            let dev = unsafe { &*raw.cast::<Device<CoreInternal<'_>>>() };
            // SAFETY: The core registers the watch after a successful `probe`
            // and unregisters it, waiting for us, before `remove`.
            let data = unsafe { Self::data(dev) };
            // The core says Unknown for one that it could not read, too.
            match State::from_raw(state) {
                State::Unknown => match Self::ask_again(dev) {
                    Some(state) => T::otherend_changed(dev, data, state),
                    None => Then::Stay,
                },
                state => T::otherend_changed(dev, data, state),
            }
        };
        // Neither the device nor the data is referenced any more.
        if then == Then::Unregister {
            // SAFETY: The device is registered: only xenwatch, in which we run,
            // unregisters devices of this bus. The helper keeps its own
            // reference.
            unsafe { bindings::pvusb_helper_device_unregister(&raw mut (*raw).dev) };
        }
    }

    fn ask_again(dev: &Device<Core<'_>>) -> Option<State> {
        let state = dev.otherend_state().inspect_err(|error| {
            dev_warn!(
                dev.as_ref(),
                "the other side's state cannot be read ({})\n",
                error.to_errno()
            );
        });
        state.ok()
    }

    extern "C" fn remove(dev: *mut bindings::xenbus_device) {
        // SAFETY: As in `probe`.
        let dev = unsafe { &*dev.cast::<Device<CoreInternal<'_>>>() };
        // SAFETY: The core calls this once, after a successful `probe`.
        T::remove(dev, unsafe { Self::data(dev) });
    }

    extern "C" fn suspend(dev: *mut bindings::xenbus_device) -> kernel::ffi::c_int {
        // SAFETY: As in `probe`.
        let dev = unsafe { &*dev.cast::<Device<CoreInternal<'_>>>() };
        from_result(|| {
            if bound(dev) {
                // SAFETY: `bound` says that the data is there.
                T::suspend(dev, unsafe { Self::data(dev) })?;
            }
            Ok(0)
        })
    }

    extern "C" fn resume(dev: *mut bindings::xenbus_device) -> kernel::ffi::c_int {
        // SAFETY: As in `probe`.
        let dev = unsafe { &*dev.cast::<Device<CoreInternal<'_>>>() };
        from_result(|| {
            Self::check_otherend(dev)?;
            if bound(dev) {
                // SAFETY: `bound` says that the data is there.
                T::resume(dev, unsafe { Self::data(dev) })?;
            }
            Ok(0)
        })
    }
}

/// Whether the driver's data is in place. The power management callbacks only
/// look at `dev->driver`, which the core sets before `probe`.
fn bound(dev: &Device<CoreInternal<'_>>) -> bool {
    // SAFETY: The device is valid.
    !unsafe { bindings::dev_get_drvdata(&raw mut (*dev.as_raw()).dev) }.is_null()
}
