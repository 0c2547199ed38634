// SPDX-License-Identifier: GPL-2.0

//! An interface of a device's active configuration.
//!
//! Interface objects die with the configuration, so a plain reference to one
//! exists only under the device lock. An `ARef<Interface>` may outlive that, but
//! then it is no more than a name.

use crate::device::Device;
use core::ptr::NonNull;
use kernel::{
    bindings,
    device,
    prelude::*,
    sync::aref::AlwaysRefCounted,
    types::Opaque, //
};

/// A USB interface (`struct usb_interface`), reference counted.
///
/// # Invariants
///
/// Points to a valid `struct usb_interface` made by usbcore.
#[repr(transparent)]
pub struct Interface(Opaque<bindings::usb_interface>);

// SAFETY: an interface is reference counted and may be released anywhere.
unsafe impl Send for Interface {}

// SAFETY: through a shared `Interface` only immutable fields are read.
unsafe impl Sync for Interface {}

// SAFETY: the count is that of the `struct device` inside.
unsafe impl AlwaysRefCounted for Interface {
    fn inc_ref(&self) {
        // SAFETY: `self` is a valid interface, whose count is not zero.
        unsafe { bindings::usb_get_intf(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: the caller gives up one reference that it owns.
        unsafe { bindings::usb_put_intf(obj.cast().as_ptr()) };
    }
}

impl AsRef<device::Device> for Interface {
    /// For `dev_info!` and friends.
    fn as_ref(&self) -> &device::Device {
        // SAFETY: `dev` is the `struct device` inside a valid interface.
        unsafe { device::Device::from_raw(&raw mut (*self.as_raw()).dev) }
    }
}

impl Interface {
    pub(crate) fn as_raw(&self) -> *mut bindings::usb_interface {
        self.0.get()
    }

    /// # Safety
    ///
    /// `ptr` is a valid `struct usb_interface` whose count stays above zero for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::usb_interface) -> &'a Self {
        // SAFETY: the caller's promise; `Interface` is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The name, `1-2.3:1.0`: bus name, configuration, interface number.
    pub fn name(&self) -> &CStr {
        let device: &device::Device = self.as_ref();
        device.name()
    }

    /// The device it belongs to.
    pub fn device(&self) -> &Device {
        // SAFETY: an interface holds its device (`usb_release_interface()` puts it).
        unsafe { Device::from_raw(bindings::interface_to_usbdev(self.as_raw())) }
    }

    /// `bInterfaceNumber`: what requests to the interface carry in wIndex.
    pub fn number(&self) -> u8 {
        // SAFETY: an interface has at least one altsetting, holds them by a
        // reference, and all of them have the same number.
        unsafe { (*(*self.as_raw()).altsetting).desc.bInterfaceNumber }
    }

    /// `bInterfaceClass` of the first altsetting.
    pub fn class(&self) -> u8 {
        // SAFETY: as in `number`.
        unsafe { (*(*self.as_raw()).altsetting).desc.bInterfaceClass }
    }
}
