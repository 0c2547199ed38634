// SPDX-License-Identifier: GPL-2.0

//! An interface driver that looks at every interface and takes what it is told to.
//!
//! `kernel::usb` is not compiled where the USB core is a module, and it has no
//! claims, no reset and no suspend callbacks, so this is our own.
//!
//! Two ways lead to an interface: `probe` (hotplug, or a write to `bind`), and
//! [`LockedDevice::claim_interface`], which works on owned ports too. Both end in
//! `disconnect`. The driver data of an interface stays NULL either way, and no
//! `post_unbind_rust` is set, so there is nothing to free by a wrong type: the driver
//! finds its own state by device and interface.
//!
//! A [`DriverHandle`] stands for the driver before, while and after it is registered;
//! claims fail when it is not. Lock order: device lock, then the handle's lock.
//!
//! What is chosen for `struct usb_driver`, and why:
//! - a wildcard id: `driver_info` alone makes `usb_match_id()` accept everything; no
//!   MODULE_DEVICE_TABLE, so no hotplug event loads us; `no_dynamic_id`.
//! - `supports_autosuspend`: a bound interface does not keep its device awake. The guest
//!   decides about that, through [`crate::power::Power`].
//! - `soft_unbind` off: usbcore gives back all URBs of the interface's endpoints
//!   before `disconnect`. Those of endpoint 0 are the driver's to kill.
//! - `dev_groups` empty: a claim would not add them, an unbind would remove them.
//! - `pre_reset`, `post_reset`, `suspend`, `resume`, `reset_resume` are all there: usbcore
//!   unbinds a driver that lacks one.

use crate::{
    device::Device,
    driver_files::{
        File,
        Files, //
    },
    interface::Interface,
    lock::LockedDevice, //
};
use core::{
    cell::UnsafeCell,
    mem::offset_of, //
};
use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    types::Opaque,
    ThisModule, //
};

/// What a driver of interfaces does.
///
/// Callbacks that are given a [`LockedDevice`] run with that device's lock held. They
/// must not wait for work that takes it, nor for a module of their own to unload.
pub trait InterfaceDriver: Send + Sync + Sized + 'static {
    /// The name under `/sys/bus/usb/drivers/`.
    const NAME: &'static CStr;

    /// Files in that directory.
    const FILES: &'static [File<Self>];

    /// An interface nobody has taken is offered. `Ok`: it is ours until `disconnect`.
    ///
    /// Every unbound interface of the host comes by here, first of all when the driver
    /// registers. `ENODEV` and `ENXIO` decline silently; other errors are logged. Never
    /// called while the port is owned ([`crate::port`]) or for a claim.
    fn probe(&self, device: &LockedDevice<'_>, interface: &Interface) -> Result;

    /// An interface that was ours is taken from us: unplug, configuration change, a write
    /// to `unbind`, release of a claim, unregistering. See [`Device::is_attached`].
    ///
    /// URBs of its endpoints are given back already, those of endpoint 0 perhaps not.
    fn disconnect(&self, device: &LockedDevice<'_>, interface: &Interface);

    /// A port reset is about to happen: stop submitting and kill what is in flight. An
    /// error unbinds the interface and offers it to others after the reset.
    fn pre_reset(&self, device: &LockedDevice<'_>, interface: &Interface) -> Result;

    /// The reset is over, whether it worked or not. An error unbinds the interface.
    fn post_reset(&self, device: &LockedDevice<'_>, interface: &Interface) -> Result;

    /// The host suspends, or the device alone. No URB may be in flight afterwards.
    fn suspend(&self, device: &Device, interface: &Interface) -> Result;

    /// The host resumed, or the device alone, and it kept its state.
    fn resume(&self, device: &Device, interface: &Interface) -> Result;

    /// Likewise, and the device was reset on the way.
    fn reset_resume(&self, device: &Device, interface: &Interface) -> Result;
}

/// What outlives the registration: a handle may be asked at any time.
#[pin_data]
pub(crate) struct Shared {
    #[pin]
    driver: Opaque<bindings::usb_driver>,
    /// Whether claims may be made. Set after registering, cleared before unregistering.
    #[pin]
    registered: Mutex<bool>,
    /// The `T` of the `Registration<T>`. Written before the driver is registered, and read
    /// in its callbacks only.
    context: UnsafeCell<*const ffi::c_void>,
}

// SAFETY: `driver` is usbcore's while registered, `context` is not written meanwhile.
unsafe impl Send for Shared {}

// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The context of a registered driver.
    ///
    /// # Safety
    ///
    /// `shared` is registered by a `Registration<T>`, and the result is not used after the
    /// callback that asks.
    pub(crate) unsafe fn context<'a, T>(shared: *const Shared) -> &'a T {
        // SAFETY: `Registration::new` set the pointer to a `T` that lives until the driver
        // is unregistered, which waits for callbacks.
        unsafe { &*(*(*shared).context.get()).cast::<T>() }
    }

    /// The `Shared` around the `struct device_driver` of a registered driver.
    ///
    /// # Safety
    ///
    /// `driver` is inside a `Shared`.
    pub(crate) unsafe fn from_driver(driver: *const bindings::device_driver) -> *const Shared {
        // SAFETY: the caller's promise; `Opaque` is transparent.
        unsafe {
            driver
                .byte_sub(offset_of!(bindings::usb_driver, driver))
                .byte_sub(offset_of!(Shared, driver))
                .cast()
        }
    }
}

/// Stands for a driver, registered or not.
#[derive(Clone)]
pub struct DriverHandle(Arc<Shared>);

impl DriverHandle {
    /// A handle for [`Registration::new`].
    pub fn new() -> Result<Self> {
        Ok(Self(Arc::pin_init(
            pin_init!(Shared {
                driver <- Opaque::ffi_init(|driver: *mut bindings::usb_driver| {
                    // SAFETY: valid for writing.
                    unsafe { driver.write(Default::default()) };
                }),
                registered <- new_mutex!(false),
                context: UnsafeCell::new(core::ptr::null()),
            }),
            GFP_KERNEL,
        )?))
    }

    /// Calls `operation` while the driver is, and stays, registered.
    pub(crate) fn if_registered(
        &self,
        operation: impl FnOnce(*mut bindings::usb_driver) -> Result,
    ) -> Result {
        let registered = self.0.registered.lock();
        if !*registered {
            return Err(ENODEV);
        }
        operation(self.as_raw())
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::usb_driver {
        self.0.driver.get()
    }

    /// For comparing only.
    pub(crate) fn device_driver(&self) -> *const bindings::device_driver {
        // SAFETY: a field of a valid structure; its address only.
        unsafe { &raw const (*self.as_raw()).driver }
    }
}

/// A registered driver. Dropping it unbinds every interface (`disconnect` is called for
/// each), removes the files, and waits for running callbacks.
pub struct Registration<T: InterfaceDriver> {
    handle: DriverHandle,
    _driver: Arc<T>,
    _files: Files,
}

/// `driver_info` alone says: any interface.
static IDS: [bindings::usb_device_id; 2] = {
    const NONE: bindings::usb_device_id = bindings::usb_device_id {
        match_flags: 0,
        idVendor: 0,
        idProduct: 0,
        bcdDevice_lo: 0,
        bcdDevice_hi: 0,
        bDeviceClass: 0,
        bDeviceSubClass: 0,
        bDeviceProtocol: 0,
        bInterfaceClass: 0,
        bInterfaceSubClass: 0,
        bInterfaceProtocol: 0,
        bInterfaceNumber: 0,
        driver_info: 0,
    };
    [
        bindings::usb_device_id {
            driver_info: 1,
            ..NONE
        },
        NONE,
    ]
};

impl<T: InterfaceDriver> Registration<T> {
    /// Registers `driver` under `handle`, which can be done once per handle.
    ///
    /// Callbacks come before this returns: a probe of every unbound interface, and
    /// whatever is written to the files. Claims fail with ENODEV until it has returned, so
    /// whoever makes claims looks at everything once afterwards.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the handle was used. `EEXIST`: a driver of this name exists.
    pub fn new(handle: &DriverHandle, module: &'static ThisModule, driver: Arc<T>) -> Result<Self> {
        let shared = &*handle.0;
        let files = Files::new::<T>(shared)?;
        {
            // Once only: serialises two callers.
            let _guard = shared.registered.lock();
            // SAFETY: written under the lock, before any callback can read it.
            unsafe {
                let context = shared.context.get();
                if !(*context).is_null() {
                    return Err(EBUSY);
                }
                *context = Arc::as_ptr(&driver).cast();
            }
        }
        let raw = handle.as_raw();
        // SAFETY: the structure is ours until it is registered, below. What it points to
        // is static, or is kept by the registration.
        unsafe {
            (*raw).name = T::NAME.as_char_ptr();
            (*raw).probe = Some(probe::<T>);
            (*raw).disconnect = Some(disconnect::<T>);
            (*raw).pre_reset = Some(pre_reset::<T>);
            (*raw).post_reset = Some(post_reset::<T>);
            (*raw).suspend = Some(suspend::<T>);
            (*raw).resume = Some(resume::<T>);
            (*raw).reset_resume = Some(reset_resume::<T>);
            (*raw).id_table = (&raw const IDS).cast();
            (*raw).set_no_dynamic_id(1);
            (*raw).set_supports_autosuspend(1);
            (*raw).driver.groups = files.groups();
        }
        // SAFETY: complete now, and pinned in the `Arc` that the result keeps.
        to_result(unsafe {
            bindings::usb_register_driver(raw, module.as_ptr(), T::NAME.as_char_ptr())
        })?;
        *shared.registered.lock() = true;
        Ok(Self {
            handle: handle.clone(),
            _driver: driver,
            _files: files,
        })
    }
}

impl<T: InterfaceDriver> Drop for Registration<T> {
    fn drop(&mut self) {
        // From here on no claim; those made are seen by usb_deregister(). The lock is not
        // held across that, as it takes device locks.
        *self.handle.0.registered.lock() = false;
        // SAFETY: registered by `new`.
        unsafe { bindings::usb_deregister(self.handle.as_raw()) };
    }
}

/// Calls `callback` with what an interface callback is about.
///
/// # Safety
///
/// `interface` is valid, and bound or about to be bound to the driver of a `Registration<T>`.
unsafe fn with<T: InterfaceDriver, R>(
    interface: *mut bindings::usb_interface,
    callback: impl FnOnce(&T, *mut bindings::usb_device, &Interface) -> R,
) -> R {
    // SAFETY: the caller's promises; usbcore holds the interface, and the interface its
    // device, during the callback.
    unsafe {
        let shared = Shared::from_driver((*interface).dev.driver);
        callback(
            Shared::context::<T>(shared),
            bindings::interface_to_usbdev(interface),
            Interface::from_raw(interface),
        )
    }
}

/// Defines the C callbacks whose context holds the device lock.
macro_rules! locked_callback {
    ($($name:ident),*) => {$(
        extern "C" fn $name<T: InterfaceDriver>(
            interface: *mut bindings::usb_interface,
        ) -> ffi::c_int {
            // SAFETY: usbcore calls this for an interface bound to this driver, with the
            // device lock held: usb_reset_device() demands it of its callers.
            unsafe {
                with::<T, _>(interface, |driver, device, interface| {
                    from_result(|| {
                        driver.$name(&LockedDevice::from_raw(device), interface)?;
                        Ok(0)
                    })
                })
            }
        }
    )*};
}

/// Defines the C callbacks without it.
macro_rules! callback {
    ($($name:ident ($($arg:ty)?)),*) => {$(
        extern "C" fn $name<T: InterfaceDriver>(
            interface: *mut bindings::usb_interface,
            $(_: $arg,)?
        ) -> ffi::c_int {
            // SAFETY: usbcore calls this for an interface bound to this driver.
            unsafe {
                with::<T, _>(interface, |driver, device, interface| {
                    from_result(|| {
                        driver.$name(Device::from_raw(device), interface)?;
                        Ok(0)
                    })
                })
            }
        }
    )*};
}

locked_callback!(pre_reset, post_reset);
callback!(suspend(bindings::pm_message_t), resume(), reset_resume());

extern "C" fn probe<T: InterfaceDriver>(
    interface: *mut bindings::usb_interface,
    _id: *const bindings::usb_device_id,
) -> ffi::c_int {
    // SAFETY: the driver core has set `dev.driver` before it probes, and holds the parent's
    // lock (`need_parent_lock`), which is the device lock.
    unsafe {
        with::<T, _>(interface, |driver, device, interface| {
            from_result(|| {
                driver.probe(&LockedDevice::from_raw(device), interface)?;
                Ok(0)
            })
        })
    }
}

extern "C" fn disconnect<T: InterfaceDriver>(interface: *mut bindings::usb_interface) {
    // SAFETY: the driver is set until after this call; the device lock is held, by the
    // driver core or by whom usb_driver_release_interface() demands it of.
    unsafe {
        with::<T, _>(interface, |driver, device, interface| {
            driver.disconnect(&LockedDevice::from_raw(device), interface);
        })
    }
}
