// SPDX-License-Identifier: GPL-2.0

//! Keeping a device awake, and letting it sleep.
//!
//! The driver of the interfaces supports autosuspend ([`crate::driver`]), so what keeps a
//! device awake is a count of its runtime PM. [`Power`] has one while the device is to
//! be awake. It gives the count up to suspend the device, and takes it again in `resume`,
//! whoever has caused that: before the core looks whether the device is idle, or it would
//! be suspended again at once.
//!
//! A USB device may be suspended only if `power/control` is `auto`, and usbcore begins
//! with `on`. The first suspension makes it `auto`, [`Power::end`] makes it what it was;
//! if somebody writes `on` in between, the device stays awake.

use crate::{
    device::Device,
    lock::LockedDevice, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            AtomicFlag,
            Full,
            Relaxed, //
        },
    }, //
};

/// The count is held.
const AWAKE: u32 = 0;
/// It is not: the device is suspended, or about to be, or to wake up.
const ASLEEP: u32 = 1;
/// It is not, and never will be.
const ENDED: u32 = 2;

/// Keeps a device awake until it is dropped, but for [`Power::sleep`].
pub struct Power {
    device: ARef<Device>,
    state: Atomic<u32>,
    /// `power/control` was `on`, and we have made it `auto`.
    allowed: AtomicFlag,
}

impl Power {
    /// Wakes the device and keeps it awake. Sleeps; not from a `resume`.
    ///
    /// # Errors
    ///
    /// What resuming it says.
    pub fn new(device: &Device) -> Result<Self> {
        let awake = Awake::new(device)?;
        let this = Self {
            device: device.into(),
            state: Atomic::new(AWAKE),
            allowed: AtomicFlag::new(false),
        };
        // Its count is ours now.
        core::mem::forget(awake);
        Ok(this)
    }

    /// Whether the device is not to be asleep: it has not been suspended, or has woken up.
    pub fn is_awake(&self) -> bool {
        self.state.load(Acquire) != ASLEEP
    }

    /// Suspends the device. `wakeup`: it may wake up by itself; that, and everything else
    /// that resumes it, is heard of in `resume`, from which [`Self::woken`] has to be
    /// called. It may come before this returns.
    ///
    /// # Errors
    ///
    /// The device is awake as before. `EBUSY`: it is in use, or may not be suspended.
    /// `EIO`: it refuses, of which the core writes a line. `EINVAL`: another device.
    pub fn sleep(&self, device: &mut LockedDevice<'_>, wakeup: bool) -> Result {
        if !core::ptr::eq(&raw const **device, &raw const *self.device) {
            return Err(EINVAL);
        }
        if !self.may_sleep() {
            return Err(EBUSY);
        }
        for interface in device.interfaces() {
            // SAFETY: a valid interface of a device whose lock is held, under which
            // autosuspend_check() reads the field on our behalf below.
            unsafe { (*interface.as_raw()).set_needs_remote_wakeup(u32::from(wakeup)) };
        }
        if self.state.cmpxchg(AWAKE, ASLEEP, Full).is_err() {
            return Err(EBUSY);
        }
        // SAFETY: a valid device whose count we have raised; this may sleep.
        let result =
            unsafe { bindings::__pm_runtime_suspend(self.raw(), bindings::RPM_GET_PUT as i32) };
        if result >= 0 && (device.is_suspended() || self.is_awake()) {
            return Ok(());
        }
        // Refused, or somebody else keeps it awake, whom the core does not mention.
        self.woken();
        // usb_runtime_suspend() has this for all that went wrong with the device.
        Err(if result == EBUSY.to_errno() {
            EIO
        } else {
            EBUSY
        })
    }

    /// Makes sure that the core may suspend the device. False: somebody has forbidden it.
    fn may_sleep(&self) -> bool {
        // SAFETY: a bit of a valid device; its byte may change meanwhile, any value is a
        // bool.
        if unsafe { (*self.raw()).power.runtime_auto() } {
            return true;
        }
        if self.allowed.xchg(true, Relaxed) {
            return false;
        }
        // SAFETY: a valid device.
        unsafe { bindings::usb_enable_autosuspend(self.device.as_raw()) };
        true
    }

    /// Wakes the device, if it is asleep. Sleeps; not from a `resume`.
    ///
    /// # Errors
    ///
    /// What resuming it says.
    pub fn wake(&self) -> Result {
        if self.is_awake() {
            return Ok(());
        }
        // The count is taken in `resume`, or below if the device was awake.
        let _awake = Awake::new(&self.device)?;
        self.woken();
        Ok(())
    }

    /// To be called from the driver's `resume` and `reset_resume`. True: it was asleep.
    pub fn woken(&self) -> bool {
        if self.is_awake() {
            return false;
        }
        // SAFETY: a valid device. Asynchronous, so nothing waits for the resume that may
        // be running; the count is raised at once and in any case.
        unsafe {
            let flags = bindings::RPM_GET_PUT | bindings::RPM_ASYNC;
            bindings::__pm_runtime_resume(self.raw(), flags as i32);
        }
        let woken = self.state.cmpxchg(ASLEEP, AWAKE, Full).is_ok();
        if !woken {
            put(&self.device);
        }
        woken
    }

    /// Leaves the device to the host: awake if that is how it was, but not kept so. Sleeps;
    /// not from a `resume`. Again: does nothing.
    pub fn end(&self) {
        let old = self.state.xchg(ENDED, Full);
        if self.allowed.xchg(false, Relaxed) {
            // SAFETY: a valid device. One that is asleep is resumed.
            unsafe { bindings::usb_disable_autosuspend(self.device.as_raw()) };
        }
        if old == AWAKE {
            put(&self.device);
        }
    }

    fn raw(&self) -> *mut bindings::device {
        // SAFETY: a field of a valid device; its address only.
        unsafe { &raw mut (*self.device.as_raw()).dev }
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        self.end();
    }
}

/// Keeps a device from being suspended at runtime.
pub(crate) struct Awake<'a>(&'a Device);

impl<'a> Awake<'a> {
    /// Wakes the device. Sleeps.
    pub(crate) fn new(device: &'a Device) -> Result<Self> {
        // SAFETY: a valid device; this may sleep and wake it. The guard made first
        // undoes the count, which is taken also on failure.
        let (result, awake) = unsafe {
            let dev = &raw mut (*device.as_raw()).dev;
            (
                bindings::__pm_runtime_resume(dev, bindings::RPM_GET_PUT as i32),
                Awake(device),
            )
        };
        // 1: it was awake.
        if result < 0 {
            return Err(Error::from_errno(result));
        }
        Ok(awake)
    }
}

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        put(self.0);
    }
}

/// Lowers the count of a device, which may be suspended when it has been idle for long
/// enough. From any context.
fn put(device: &Device) {
    // SAFETY: a valid device whose count the caller has raised.
    unsafe {
        let flags = bindings::RPM_GET_PUT | bindings::RPM_AUTO | bindings::RPM_ASYNC;
        bindings::__pm_runtime_suspend(&raw mut (*device.as_raw()).dev, flags as i32);
    }
}
