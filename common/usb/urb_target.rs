// SPDX-License-Identifier: GPL-2.0

//! Where URBs are sent to, and the one place to stop that.

use crate::device::Device;
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// One device that URBs are sent to, until it is closed.
pub struct Target {
    device: ARef<Device>,
    open: Atomic<bool>,
}

impl Target {
    /// An open target.
    pub fn new(device: &Device) -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                device: device.into(),
                open: Atomic::new(true),
            },
            GFP_KERNEL,
        )?)
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Lets no further URB through. Those in flight fly on: follow with
    /// [`UrbHandle::kill_for`](crate::urb::UrbHandle::kill_for) on every handle that may be used with this target; then
    /// none is in flight and none will be. Does not wait.
    pub fn close(&self) {
        // Ordered by the gate of each URB: a submitter that had it before the killer is
        // killed, one that has it after sees this store.
        self.open.store(false, Relaxed);
    }

    /// Undoes [`Self::close`], after a reset or a resume.
    pub fn reopen(&self) {
        self.open.store(true, Relaxed);
    }

    /// Whether submissions are let through.
    pub fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }
}
