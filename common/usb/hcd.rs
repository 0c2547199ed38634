// SPDX-License-Identifier: GPL-2.0

//! Being a USB host controller.
//!
//! C header: `include/linux/usb/hcd.h`. The driver implements
//! [`HostController`]; [`Hcd`] registers it as a bus of its own.
//!
//! # The rules of the core, and how they are kept here
//!
//! * A URB is linked to its endpoint, checked before an unlink, and taken off
//!   its endpoint under the controller's own lock, interrupts off. So the lock
//!   is part of the abstraction: the callbacks for URBs run under it, and a URB
//!   can only be given back through a [`Locked`].
//! * A URB is given back without the lock. [`Locked`] collects those that are
//!   done and gives them back after unlocking, in order. Their completions run
//!   later, in the core's own work (`HCD_BH`).
//! * What `urb_enqueue` accepts is given back exactly once. [`Urb`] cannot be
//!   copied, and giving back consumes it.
//! * After `usb_remove_hcd()`, which dropping [`Hcd`] calls, no callback begins but for who
//!   was about to submit or unlink a URB, or to disable an endpoint, which finds the driver gone.
//!
//! Lock order: the controller's lock, then the core's own (`hcd_urb_list_lock`
//! inside, giveback's after it). [`Handle`]'s methods have the core call back, which takes
//! the lock, so they are called without it.

pub use crate::hcd_locked::Locked;

use crate::hcd_table;
use crate::hcd_urb::{Key, Urb};
use core::{ptr, ptr::NonNull};
use kernel::{
    device,
    error::to_result,
    prelude::*,
    sync::{Arc, SpinLockIrq},
};
use xen_sys::bindings;

/// What a root hub answers to the hub class.
pub enum HubAnswer {
    /// Bytes of the answer.
    Bytes(usize),
    /// The hub stalls.
    Stall,
}

/// A host controller's driver. All callbacks may run concurrently, but for the
/// lock that those with a [`Locked`] hold.
pub trait HostController: Send + Sync + Sized + 'static {
    /// What the controller's lock protects.
    type State: Send + 'static;

    /// Short name, for `/sys/kernel/debug/usb/devices` and the log.
    const NAME: &'static CStr;
    /// Product name of the root hub of a USB 2 controller.
    const PRODUCT_USB20: &'static CStr;
    /// Product name of the root hub of a USB 1.1 controller.
    const PRODUCT_USB11: &'static CStr;

    /// The lock.
    fn state(&self) -> &SpinLockIrq<Self::State>;

    /// Whether it tells the core of devices that wake up by themselves. Constant.
    fn wakes(&self) -> bool {
        false
    }

    /// Takes a URB over, to be given back later. The URB is linked to its
    /// endpoint. Atomic context.
    ///
    /// # Errors
    ///
    /// The URB comes back, and the submission fails with that error.
    fn enqueue(
        &self,
        locked: &mut Locked<'_, Self>,
        urb: Urb,
    ) -> core::result::Result<(), (Error, Urb)>;

    /// The URB that `enqueue` has given this key shall be given back soon, with
    /// the status that the core has noted in it. It has not been given back,
    /// and this is called once for it. Atomic context.
    fn dequeue(&self, locked: &mut Locked<'_, Self>, key: Key);

    /// So many URBs that were given back have reached the core, so that
    /// [`Handle::wait_for_completions`] waits for them. Atomic context, without
    /// the lock.
    fn gave_back(&self, _count: u32) {}

    /// The endpoint for which `enqueue` has set this key goes away. All its
    /// URBs have been given back.
    fn endpoint_disabled(&self, locked: &mut Locked<'_, Self>, key: Key);

    /// A request of the hub class to the root hub.
    fn hub_control(
        &self,
        locked: &mut Locked<'_, Self>,
        request: u16,
        value: u16,
        index: u16,
        answer: &mut [u8],
    ) -> HubAnswer;

    /// The bitmap of ports that have changed; returns its length, 0 when none
    /// has. Atomic context.
    fn hub_status(&self, locked: &mut Locked<'_, Self>, answer: &mut [u8]) -> usize;

    /// Number of the current frame, of which the low 11 bits are used.
    fn frame_number(&self) -> u32;

    /// All devices are suspended; the root hub too from now on.
    fn bus_suspend(&self, _locked: &mut Locked<'_, Self>) -> Result {
        Ok(())
    }

    /// The root hub works again.
    fn bus_resume(&self, _locked: &mut Locked<'_, Self>) -> Result {
        Ok(())
    }

    /// The controller is being removed, its devices are gone: gives back what
    /// there still is.
    fn stop(&self, locked: &mut Locked<'_, Self>);
}

/// A counted reference to a controller, for what tells the core news. Its
/// methods are harmless after the controller has been removed. They must be
/// called without the controller's lock.
pub struct Handle<T: HostController> {
    raw: NonNull<bindings::usb_hcd>,
    // What the callbacks reach must live while one of our calls may make them.
    controller: Arc<T>,
}

// SAFETY: The core's functions may be called by any thread.
unsafe impl<T: HostController> Send for Handle<T> {}
// SAFETY: As above.
unsafe impl<T: HostController> Sync for Handle<T> {}

impl<T: HostController> Handle<T> {
    /// Ports have changed: the core shall ask for the root hub's status. From
    /// any context.
    pub fn poll_root_hub(&self) {
        // SAFETY: The reference keeps the structure. A controller that is not
        // running is not asked; `hub_status_data` finds the driver, which
        // `controller` keeps.
        unsafe { bindings::usb_hcd_poll_rh_status(self.raw.as_ptr()) };
    }

    /// The driver.
    #[must_use]
    pub fn controller(&self) -> &Arc<T> {
        &self.controller
    }

    /// Waits until the completions of all URBs have run that have reached the
    /// core by now. Sleeps, but for no memory: the works are of softirq context (`HCD_BH`).
    pub fn wait_for_completions(&self) {
        // A work that runs while a URB is put on its list leaves that one to its
        // next run, which is enqueued when this one ends: hence twice.
        for _ in 0..2 {
            // SAFETY: The reference keeps the structure, and the core has made
            // the works with it.
            unsafe {
                let hcd = self.raw.as_ptr();
                bindings::flush_work(&raw mut (*hcd).high_prio_bh.bh);
                bindings::flush_work(&raw mut (*hcd).low_prio_bh.bh);
            }
        }
    }

    /// As [`Self::poll_root_hub`], for a root hub that is suspended: it is
    /// resumed first. From any context.
    pub fn wake_root_hub(&self) {
        // SAFETY: As in `poll_root_hub`. Without a registered root hub nothing
        // is done.
        unsafe { bindings::usb_hcd_resume_root_hub(self.raw.as_ptr()) };
    }
}

impl<T: HostController> Clone for Handle<T> {
    fn clone(&self) -> Self {
        // SAFETY: The reference that `self` has keeps the structure.
        unsafe { bindings::usb_get_hcd(self.raw.as_ptr()) };
        Self {
            raw: self.raw,
            controller: self.controller.clone(),
        }
    }
}

impl<T: HostController> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: A reference is ours to drop.
        unsafe { bindings::usb_put_hcd(self.raw.as_ptr()) };
    }
}

/// A host controller. Dropping it disconnects its devices and removes it from
/// the system; that sleeps, and waits for the URBs of its devices: those that
/// the driver cannot finish it must have given back, or be about to.
pub struct Hcd<T: HostController> {
    handle: Handle<T>,
    added: bool,
}

impl<T: HostController> Hcd<T> {
    /// Makes a controller, with `parent` as its device. It is not in use before
    /// [`Self::add`].
    ///
    /// # Errors
    ///
    /// `ENODEV` USB is disabled on this kernel's command line, `ENOMEM`.
    pub fn new(parent: &device::Device, usb20: bool, controller: Arc<T>) -> Result<Self> {
        // SAFETY: No requirements.
        if unsafe { bindings::usb_disabled() } != 0 {
            return Err(ENODEV);
        }
        // CAST: `Device` is a transparent wrapper of the C type.
        let parent = ptr::from_ref(parent).cast_mut().cast::<bindings::device>();
        let table = if usb20 {
            hcd_table::usb20::<T>()
        } else {
            hcd_table::usb11::<T>()
        };
        // The function stores its result in the device's driver data. There,
        // the driver core keeps the Rust driver's data and would take the one
        // for the other, in callbacks and when it frees it. So it gets a
        // device that nobody looks at; the real one is filled in afterwards.
        let mut decoy = KBox::new(bindings::device::default(), GFP_KERNEL)?;
        // SAFETY: The table lives as long as this code. Of the device, the function only
        // stores the pointer and sets the driver data. The name is the
        // parent's, which outlives the controller.
        let raw = NonNull::new(unsafe {
            let name = (*parent).kobj.name;
            bindings::usb_create_hcd(table, &raw mut *decoy, name)
        })
        .ok_or(ENOMEM)?;
        let handle = Handle {
            raw,
            controller: controller.clone(),
        };
        let wakes = controller.wakes();
        let hcd = raw.as_ptr();
        // Class drivers allocate their buffers through this device.
        //
        // SAFETY: The parent may be used while it is bound, which the caller, a driver
        // bound to it, sees to.
        to_result(unsafe { bindings::pvusb_helper_dma_set_masks(parent) })?;
        // SAFETY: The structure is new, made with a table of `T`'s, and only known here. What
        // it holds is a count of the `Arc`, which is dropped with the `Hcd`. The parent may be
        // used while it is bound, which the caller, a driver bound to it, sees to.
        unsafe {
            (*hcd).self_.controller = parent;
            (*hcd).self_.sysdev = parent;
            hcd_table::set_controller(hcd, controller);
            // Lists are taken as they come.
            (*hcd).self_.sg_tablesize = u32::MAX;
            (*hcd).set_cant_recv_wakeups(u32::from(!wakes));
        }
        Ok(Self {
            handle,
            added: false,
        })
    }

    /// Registers the controller and its root hub. Callbacks run from now on.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `E2BIG` too many busses.
    pub fn add(&mut self) -> Result {
        let hcd = self.handle.raw.as_ptr();
        // SAFETY: The controller is complete and has not been added.
        to_result(unsafe { bindings::usb_add_hcd(hcd, 0, 0) })?;
        self.added = true;
        // The core does not mind a root hub that its hub driver could not take, and on which
        // there will never be a device. It has ports once that driver has it (`hub_configure()`).
        //
        // SAFETY: The root hub exists from now on.
        if unsafe { (*(*hcd).self_.root_hub).maxchild } == 0 {
            return Err(ENOMEM);
        }
        Ok(())
    }

    /// The devices of the bus were without power. For a parent device's `resume`: when
    /// the core comes to the root hub, it resets each device and goes on with those that
    /// are what they were (USB persist).
    pub fn lost_power(&self) {
        if !self.added {
            return;
        }
        // SAFETY: The structure is valid, and its root hub exists from `add` on.
        unsafe {
            let hub = (*self.handle.raw.as_ptr()).self_.root_hub;
            bindings::usb_root_hub_lost_power(hub);
        }
    }

    /// A reference for telling news.
    #[must_use]
    pub fn handle(&self) -> Handle<T> {
        self.handle.clone()
    }

    /// Number of the bus.
    #[must_use]
    pub fn bus_number(&self) -> i32 {
        // SAFETY: The structure is valid; the number does not change.
        unsafe { (*self.handle.raw.as_ptr()).self_.busnum }
    }
}

impl<T: HostController> Drop for Hcd<T> {
    fn drop(&mut self) {
        let hcd = self.handle.raw.as_ptr();
        if self.added {
            // SAFETY: It has been added and is removed once.
            unsafe { bindings::usb_remove_hcd(hcd) };
        }
        // Who was in a callback, or on the way there, is waited for or turned away.
        //
        // SAFETY: The count was given by `new`, and is dropped once; the controller has been
        // removed, or was never added.
        unsafe { hcd_table::put_controller::<T>(hcd) };
    }
}
