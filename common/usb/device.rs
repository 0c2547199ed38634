// SPDX-License-Identifier: GPL-2.0

//! A USB device, as the host knows it.
//!
//! What can be asked of a [`Device`] without its lock: facts that never change
//! while the device exists (name, place, speed, descriptors), and state that is
//! only a hint the moment it is read. Everything that needs the device lock
//! is in [`crate::lock`].
//!
//! Memory: a `struct usb_device` keeps its configurations, their altsettings and
//! endpoints until its own last reference goes (`usb_release_dev()` is the only
//! caller of `usb_destroy_configuration()`), so descriptors may be read under a
//! reference alone. Interfaces may not: they die with the configuration.

use crate::{
    endpoint::{
        Direction,
        Endpoint, //
    },
    lock::DeviceLock, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    device,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// The speed of a device, as the hub driver found it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speed {
    /// Not known yet, or a kind that this crate does not know.
    Unknown,
    /// 1.5 Mb/s.
    Low,
    /// 12 Mb/s.
    Full,
    /// 480 Mb/s.
    High,
    /// 5 Gb/s and above: not for PVUSB, whose wire knows USB 1 and 2 only.
    Super,
}

impl Speed {
    pub(crate) fn from_raw(speed: bindings::usb_device_speed) -> Self {
        match speed {
            bindings::usb_device_speed_USB_SPEED_LOW => Speed::Low,
            bindings::usb_device_speed_USB_SPEED_FULL => Speed::Full,
            bindings::usb_device_speed_USB_SPEED_HIGH => Speed::High,
            bindings::usb_device_speed_USB_SPEED_SUPER
            | bindings::usb_device_speed_USB_SPEED_SUPER_PLUS => Speed::Super,
            _ => Speed::Unknown,
        }
    }
}

/// A USB device (`struct usb_device`), reference counted.
///
/// # Invariants
///
/// Points into a valid `struct usb_device` made by usbcore.
#[repr(transparent)]
pub struct Device(Opaque<bindings::usb_device>);

// SAFETY: a `struct usb_device` is reference counted and may be released anywhere.
unsafe impl Send for Device {}

// SAFETY: through a shared `Device` only immutable fields are read, or single words
// with volatile loads, or usbcore is called, which does its own locking.
unsafe impl Sync for Device {}

// SAFETY: the count is that of the `struct device` inside, which usbcore keeps.
unsafe impl AlwaysRefCounted for Device {
    fn inc_ref(&self) {
        // SAFETY: `self` is a valid device, whose count is not zero.
        unsafe { bindings::usb_get_dev(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: the caller gives up one reference that it owns.
        unsafe { bindings::usb_put_dev(obj.cast().as_ptr()) };
    }
}

impl AsRef<device::Device> for Device {
    /// For `dev_info!` and friends.
    fn as_ref(&self) -> &device::Device {
        // SAFETY: `dev` is the `struct device` inside a valid `struct usb_device`.
        unsafe { device::Device::from_raw(&raw mut (*self.as_raw()).dev) }
    }
}

impl Device {
    pub(crate) fn as_raw(&self) -> *mut bindings::usb_device {
        self.0.get()
    }

    /// # Safety
    ///
    /// `ptr` is a valid `struct usb_device` whose count stays above zero for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::usb_device) -> &'a Self {
        // SAFETY: the caller's promise; `Device` is transparent.
        unsafe { &*ptr.cast() }
    }

    /// Finds a device by its bus name: `4-1`, `1-2.3`, or `usb1` for a root hub.
    ///
    /// Sleeps. Must not be called with a device lock held only because that is
    /// never needed: the walk takes references, not locks.
    pub fn find(name: &[u8]) -> Option<ARef<Device>> {
        let mut found = None;
        Self::for_each(|device| {
            let hit = device.name().to_bytes() == name;
            if hit {
                found = Some(device.into());
            }
            !hit
        });
        found
    }

    /// Calls `visit` for every USB device, root hubs included, until it says false.
    pub fn for_each<F: FnMut(&Device) -> bool>(mut visit: F) {
        extern "C" fn call<F: FnMut(&Device) -> bool>(
            device: *mut bindings::usb_device,
            data: *mut kernel::ffi::c_void,
        ) -> kernel::ffi::c_int {
            // SAFETY: usbcore holds a reference on `device` while it calls us.
            let device = unsafe { Device::from_raw(device) };
            // SAFETY: `data` is the closure that `for_each` passed, and only this
            // walk uses it.
            let visit = unsafe { &mut *data.cast::<F>() };
            (!visit(device)).into()
        }
        // SAFETY: `call::<F>` treats the pointer as what it is, `visit`, which
        // outlives the walk.
        unsafe { bindings::usb_for_each_dev((&raw mut visit).cast(), Some(call::<F>)) };
    }

    /// The bus name, `1-2.3`; fixed for the life of the device.
    pub fn name(&self) -> &CStr {
        let device: &device::Device = self.as_ref();
        device.name()
    }

    /// The number of its bus, the `1` of `1-2.3`.
    pub fn bus_number(&self) -> u16 {
        // SAFETY: a device holds its controller, and `busnum` is set before the
        // controller's root hub exists.
        unsafe { (*(*self.as_raw()).bus).busnum as u16 }
    }

    /// Its address on that bus as the host numbers it (`devnum`); 0 when it is gone.
    pub fn number(&self) -> u16 {
        // SAFETY: one aligned word of a valid device, which usbcore may write meanwhile.
        let number = unsafe { (&raw const (*self.as_raw()).devnum).read_volatile() };
        u16::try_from(number).unwrap_or(0)
    }

    /// Its speed.
    pub fn speed(&self) -> Speed {
        // SAFETY: one aligned word of a valid device.
        Speed::from_raw(unsafe { (&raw const (*self.as_raw()).speed).read_volatile() })
    }

    pub(crate) fn state(&self) -> bindings::usb_device_state {
        // SAFETY: one aligned word of a valid device, which usbcore may write meanwhile.
        unsafe { (&raw const (*self.as_raw()).state).read_volatile() }
    }

    /// False once the device was unplugged; it never comes back in this object.
    pub fn is_attached(&self) -> bool {
        self.state() != bindings::usb_device_state_USB_STATE_NOTATTACHED
    }

    /// True while it is suspended, by itself or with the whole host.
    pub fn is_suspended(&self) -> bool {
        self.state() == bindings::usb_device_state_USB_STATE_SUSPENDED
    }

    /// Whether the administrator lets the host use it (`authorized` in sysfs).
    pub fn is_authorized(&self) -> bool {
        // SAFETY: a bit of a valid device; its byte may change meanwhile, any value is a bool.
        unsafe { (*self.as_raw()).authorized() != 0 }
    }

    /// Whether it is a hub, root hubs included, by its device class.
    pub fn is_hub(&self) -> bool {
        u32::from(self.class()) == bindings::USB_CLASS_HUB
    }

    /// Whether it is a controller's root hub.
    pub fn is_root_hub(&self) -> bool {
        // SAFETY: `parent` is set once, before the device is visible.
        unsafe { (*self.as_raw()).parent.is_null() }
    }

    /// `bDeviceClass`.
    pub fn class(&self) -> u8 {
        // SAFETY: a byte of a valid device.
        unsafe { (*self.as_raw()).descriptor.bDeviceClass }
    }

    /// `idVendor` and `idProduct`.
    pub fn ids(&self) -> (u16, u16) {
        // SAFETY: two fields of a valid device.
        let (vendor, product) = unsafe {
            let descriptor = &raw const (*self.as_raw()).descriptor;
            (
                (&raw const (*descriptor).idVendor).read_unaligned(),
                (&raw const (*descriptor).idProduct).read_unaligned(),
            )
        };
        (u16::from_le(vendor), u16::from_le(product))
    }

    /// How many ports the hub has; 0 if it is none, or nobody has it.
    pub fn ports(&self) -> u8 {
        // SAFETY: a valid device; the hub driver writes this word under the device's lock.
        u8::try_from(unsafe { (*self.as_raw()).maxchild }).unwrap_or(0)
    }

    /// The hub it is plugged into; none for a root hub.
    pub fn parent(&self) -> Option<ARef<Device>> {
        // SAFETY: `parent` is set once, before the device is visible, and a device
        // holds its parent.
        let parent = unsafe { NonNull::new((*self.as_raw()).parent) }?;
        // SAFETY: as above, the parent lives at least as long as `self`.
        Some(unsafe { Device::from_raw(parent.as_ptr()) }.into())
    }

    /// The port of the parent it is plugged into, from 1; 0 for a root hub.
    pub fn port_number(&self) -> u8 {
        // SAFETY: a byte that is set once, before the device is visible.
        unsafe { (*self.as_raw()).portnum }
    }

    /// The endpoint with this number (0..=15) in the altsettings that are current now.
    ///
    /// A copy of what the host's descriptor says. Without the device lock it is
    /// true at the moment of reading; submission checks again ([`crate::urb`]).
    pub fn endpoint(&self, number: u8, direction: Direction) -> Option<Endpoint> {
        Endpoint::lookup(self, number, direction)
    }

    /// How many scatter-gather entries the controller takes per URB; 0: none at all.
    pub(crate) fn sg_limit(&self) -> u32 {
        // SAFETY: a device holds its controller, which sets the limit once.
        unsafe { (*(*self.as_raw()).bus).sg_tablesize }
    }

    /// Takes the device lock, sleeping as long as it takes.
    ///
    /// Lock order: a hub before what is plugged into it, and a device lock before
    /// any lock of ours. Never from a probe, disconnect, reset or notifier
    /// callback: these run with the lock held and are given a [`LockedDevice`].
    ///
    /// [`LockedDevice`]: crate::lock::LockedDevice
    pub fn lock(&self) -> DeviceLock<'_> {
        DeviceLock::new(self)
    }
}
