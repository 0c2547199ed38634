// SPDX-License-Identifier: GPL-2.0

//! The device lock, and what may be done under it.
//!
//! usbcore changes a device's configuration, its interfaces and their drivers only
//! with the device lock held (`usb_if_device_type.need_parent_lock` makes the driver core
//! take it for every bind and unbind of an interface too). [`LockedDevice`] is the
//! proof that the current context holds it: a guard gives it out for changing,
//! usbcore's callbacks for looking. Changes need `&mut`, so that no reference to an
//! interface survives them.
//!
//! Lock order: hub, then the device plugged into it, then (inside
//! [`LockedDevice::claim_interface`]) the driver's registration, then locks of the
//! modules. The operations below wait for the device: seconds, when it is broken.

use crate::{
    device::{
        Device,
        Speed, //
    },
    driver::DriverHandle,
    endpoint::{
        Direction,
        TransferType, //
    },
    interface::Interface,
    power::Awake, //
};
use core::{
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    }, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};
use xen_sys::bindings as helpers;

/// A device whose lock the current context holds.
///
/// # Invariants
///
/// The lock is held as long as this exists.
pub struct LockedDevice<'a> {
    device: &'a Device,
    /// A mutex is released by the task that took it.
    _not_send: PhantomData<*mut ()>,
}

impl Deref for LockedDevice<'_> {
    type Target = Device;

    fn deref(&self) -> &Device {
        self.device
    }
}

/// Holds the device lock of a device; see [`Device::lock`].
pub struct DeviceLock<'a>(LockedDevice<'a>);

impl<'a> DeviceLock<'a> {
    pub(crate) fn new(device: &'a Device) -> Self {
        // SAFETY: a valid device; the guard releases the lock.
        unsafe { helpers::pvusb_helper_usb_lock_device(device.as_raw()) };
        // INVARIANT: until `drop`.
        Self(LockedDevice {
            device,
            _not_send: PhantomData,
        })
    }
}

impl Drop for DeviceLock<'_> {
    fn drop(&mut self) {
        // SAFETY: the lock is held by the invariant of `LockedDevice`, and by this very
        // task as that is not `Send`.
        unsafe { helpers::pvusb_helper_usb_unlock_device(self.0.device.as_raw()) };
    }
}

impl<'a> Deref for DeviceLock<'a> {
    type Target = LockedDevice<'a>;

    fn deref(&self) -> &LockedDevice<'a> {
        &self.0
    }
}

impl<'a> DerefMut for DeviceLock<'a> {
    fn deref_mut(&mut self) -> &mut LockedDevice<'a> {
        &mut self.0
    }
}

impl<'a> LockedDevice<'a> {
    /// # Safety
    ///
    /// As for [`Device::from_raw`], and the current task holds the device's lock for `'a`.
    pub(crate) unsafe fn from_raw(ptr: *mut bindings::usb_device) -> Self {
        // INVARIANT: the caller's promise.
        Self {
            // SAFETY: the caller's promise.
            device: unsafe { Device::from_raw(ptr) },
            _not_send: PhantomData,
        }
    }

    /// `bConfigurationValue` of the active configuration; none while unconfigured.
    pub fn active_configuration(&self) -> Option<u8> {
        // SAFETY: `actconfig` changes under the device lock only, which we hold; it
        // points into the device's own configurations.
        let config = unsafe { (*self.as_raw()).actconfig.as_ref() }?;
        Some(config.desc.bConfigurationValue)
    }

    /// The interfaces of the active configuration; none while unconfigured.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        // SAFETY: as in `active_configuration`.
        let config = unsafe { (*self.as_raw()).actconfig.as_ref() };
        let (table, count) = match config {
            Some(config) => (&config.interface[..], config.desc.bNumInterfaces),
            None => (&[][..], 0),
        };
        table
            .iter()
            .take(usize::from(count))
            .filter(|interface| !interface.is_null())
            // SAFETY: a non-null entry is a valid interface, and entries go under the
            // device lock only; `&self` keeps the lock and excludes changes by us.
            .map(|&interface| unsafe { Interface::from_raw(interface) })
    }

    /// The interface with this `bInterfaceNumber`.
    pub fn interface(&self, number: u8) -> Option<&Interface> {
        self.interfaces()
            .find(|interface| interface.number() == number)
    }

    /// The name of the driver bound to an interface of this device.
    pub fn driver_name(&self, interface: &Interface) -> Option<&CStr> {
        if !core::ptr::eq(interface.device(), self.device) {
            return None;
        }
        // SAFETY: interfaces are bound and unbound under the device lock only, and a
        // driver and its name exist as long as a device is bound to it.
        unsafe {
            let driver = (*interface.as_raw()).dev.driver.as_ref()?;
            Some(CStr::from_char_ptr(driver.name))
        }
    }

    /// Whether the interface is bound to this driver, by probe or by claim.
    pub fn is_bound_to(&self, interface: &Interface, driver: &DriverHandle) -> bool {
        core::ptr::eq(interface.device(), self.device)
            // SAFETY: as in `driver_name`; the pointer is compared only.
            && core::ptr::eq(unsafe { (*interface.as_raw()).dev.driver }, driver.device_driver())
    }

    /// The configuration to choose for a device that usbcore left unconfigured
    /// because its port is owned: as `usb_choose_configuration()` does, the first
    /// that the port can feed and whose first interface is not vendor specific, else
    /// the first that the port can feed.
    pub fn preferred_configuration(&self) -> Option<u8> {
        let raw = self.as_raw();
        // SAFETY: the configurations and `bus_mA` are set before the device is visible;
        // `config` has `bNumConfigurations` entries, each with its caches.
        let (configs, budget) = unsafe {
            if (*raw).config.is_null() {
                return None;
            }
            let count = usize::from((*raw).descriptor.bNumConfigurations);
            (
                core::slice::from_raw_parts((*raw).config, count),
                (*raw).bus_mA,
            )
        };
        let unit: u16 = if self.speed() == Speed::Super { 8 } else { 2 };
        let mut fed = configs
            .iter()
            .filter(|config| u16::from(config.desc.bMaxPower).saturating_mul(unit) <= budget);
        let first = fed.clone().next();
        fed.find(|config| {
            if config.desc.bNumInterfaces == 0 {
                return false;
            }
            let Some(&cache) = config.intf_cache.first() else {
                return false;
            };
            // SAFETY: a configuration with interfaces has a cache of each, with at
            // least one altsetting; both live as long as the device.
            let class = unsafe {
                (*(&raw const (*cache).altsetting).cast::<bindings::usb_host_interface>())
                    .desc
                    .bInterfaceClass
            };
            u32::from(class) != bindings::USB_CLASS_VENDOR_SPEC
        })
        .or(first)
        .map(|config| config.desc.bConfigurationValue)
    }

    /// Sets the configuration with this value, or none at all.
    ///
    /// Interfaces of the old one are unbound first (our own `disconnect` runs before
    /// this returns), those of the new one are offered to drivers: none is bound if the
    /// port is claimed. A device that is not authorized stays unconfigured.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no such configuration. `ENODEV`: unplugged. Else what the device or its
    /// controller says; the device is unconfigured then.
    pub fn set_configuration(&mut self, value: Option<u8>) -> Result {
        self.check_attached()?;
        let value = value.map_or(-1, i32::from);
        // SAFETY: a valid device whose lock is held.
        to_result(unsafe { bindings::usb_set_configuration(self.as_raw(), value) })
    }

    /// Has the host's core set something up without asking the device for the names of
    /// its configuration and interfaces, as it does for sysfs: each may take ten seconds
    /// of a device that does not answer, with its lock held.
    pub fn without_strings<T>(&mut self, set_up: impl FnOnce(&mut Self) -> T) -> T {
        const QUIRK: u32 = helpers::pvusb_quirk_PVUSB_QUIRK_CONFIG_INTF_STRINGS;
        // SAFETY: a valid device, whose quirks are read and written under its lock, but for
        // those that were set before anybody could know it.
        let quirks = unsafe { (*self.as_raw()).quirks };
        // SAFETY: as above.
        unsafe { (*self.as_raw()).quirks = quirks | QUIRK };
        let result = set_up(self);
        // SAFETY: as above.
        unsafe { (*self.as_raw()).quirks = quirks };
        result
    }

    /// Sends SET_CONFIGURATION with the active value and resets the host's side of it:
    /// altsettings to 0, endpoints re-enabled with their toggles at 0. Interfaces stay
    /// bound. Their URBs are given back with -ESHUTDOWN.
    ///
    /// # Errors
    ///
    /// `EINVAL`: unconfigured. `EHOSTUNREACH`: suspended. `ENODEV`: unplugged.
    pub fn reset_configuration(&mut self) -> Result {
        self.check_attached()?;
        if self.active_configuration().is_none() {
            // usb_reset_configuration() would follow a null pointer.
            return Err(EINVAL);
        }
        // SAFETY: a valid device whose lock is held, with an active configuration.
        to_result(unsafe { bindings::usb_reset_configuration(self.as_raw()) })
    }

    /// Selects an altsetting. URBs of the interface are given back with -ESHUTDOWN.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no such interface or altsetting. `EHOSTUNREACH`: suspended. `ENODEV`:
    /// unplugged. `ENOSPC` and others: no bandwidth.
    pub fn set_interface(&mut self, interface: u8, altsetting: u8) -> Result {
        self.check_attached()?;
        let number = interface;
        let interface = self.interface(number).ok_or(EINVAL)?;
        // usbcore writes a line into the log for each that there is not.
        //
        // SAFETY: an interface of the active configuration, which stays as the lock is held.
        let found =
            unsafe { bindings::usb_altnum_to_altsetting(interface.as_raw(), altsetting.into()) };
        if found.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: a valid device whose lock is held.
        to_result(unsafe {
            bindings::usb_set_interface(self.as_raw(), number.into(), altsetting.into())
        })
    }

    /// Clears an endpoint's halt, on the device and on the host's side (toggles).
    ///
    /// # Errors
    ///
    /// `ENOENT`: no such endpoint. Else what the device or the controller says.
    pub fn clear_halt(&mut self, number: u8, direction: Direction) -> Result {
        self.check_attached()?;
        let endpoint = self.endpoint(number, direction).ok_or(ENOENT)?;
        let pipe = pipe(self, number, direction, endpoint.kind);
        // SAFETY: a valid device.
        to_result(unsafe { bindings::usb_clear_halt(self.as_raw(), pipe as i32) })
    }

    /// Resets the device through its port and restores configuration and altsettings.
    ///
    /// `pre_reset` and `post_reset` of bound drivers run inside.
    ///
    /// # Errors
    ///
    /// `ENODEV`: unplugged, or it came back as something else: usbcore will disconnect
    /// it and enumerate anew. `EHOSTUNREACH`: suspended with the whole host.
    /// `EINPROGRESS`: a reset runs.
    pub fn reset(&mut self) -> Result {
        self.check_attached()?;
        let _awake = Awake::new(self)?;
        if self.is_suspended() {
            // As usb_lock_device_for_reset() has it.
            return Err(EHOSTUNREACH);
        }
        // SAFETY: a valid device whose lock is held.
        to_result(unsafe { bindings::usb_reset_device(self.as_raw()) })
    }

    /// Binds our driver to an interface without a probe, whoever owns the port.
    ///
    /// The driver data of the interface stays NULL. A claimed interface does not keep the
    /// device from being suspended at runtime; [`crate::power::Power`] does.
    ///
    /// # Errors
    ///
    /// `ENOENT`: no such interface. `EBUSY`: bound to a driver, see
    /// [`Self::driver_name`]. `ENODEV`: the driver is not registered, the interface not
    /// authorized, or the device unplugged.
    pub fn claim_interface(&mut self, driver: &DriverHandle, number: u8) -> Result {
        self.check_attached()?;
        let interface = self.interface(number).ok_or(ENOENT)?;
        // An interface is bound while its device is awake, as by a probe.
        let _awake = Awake::new(self)?;
        driver.if_registered(|raw| {
            // SAFETY: the driver is registered and stays so during the call, the device
            // lock is held, the interface is one of the active configuration.
            to_result(unsafe {
                bindings::usb_driver_claim_interface(raw, interface.as_raw(), core::ptr::null_mut())
            })
        })
    }

    /// Unbinds our driver from an interface, if it is bound to it; our `disconnect` runs
    /// before this returns.
    pub fn release_interface(&mut self, driver: &DriverHandle, number: u8) {
        let Some(interface) = self.interface(number) else {
            return;
        };
        let _ = driver.if_registered(|raw| {
            // SAFETY: as in `claim_interface`; the function checks the driver itself.
            unsafe { bindings::usb_driver_release_interface(raw, interface.as_raw()) };
            Ok(())
        });
    }

    fn check_attached(&self) -> Result {
        if self.is_attached() {
            Ok(())
        } else {
            Err(ENODEV)
        }
    }
}

/// `urb->pipe` and friends, by the layout in `<linux/usb.h>`.
pub(crate) fn pipe(device: &Device, number: u8, direction: Direction, kind: TransferType) -> u32 {
    let kind = match kind {
        TransferType::Control => bindings::PIPE_CONTROL,
        TransferType::Isochronous => bindings::PIPE_ISOCHRONOUS,
        TransferType::Bulk => bindings::PIPE_BULK,
        TransferType::Interrupt => bindings::PIPE_INTERRUPT,
    };
    let direction = match direction {
        Direction::Out => 0,
        Direction::In => bindings::USB_DIR_IN,
    };
    (kind << 30) | (u32::from(number & 15) << 15) | (u32::from(device.number()) << 8) | direction
}

/// The endpoint that such a pipe leads to: its number and direction.
pub(crate) fn endpoint_of(pipe: u32) -> (u8, Direction) {
    let direction = if pipe & bindings::USB_DIR_IN != 0 {
        Direction::In
    } else {
        Direction::Out
    };
    // Four bits.
    ((pipe.wrapping_shr(15) & 15) as u8, direction)
}
