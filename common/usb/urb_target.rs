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
    state: Atomic<u32>,
}

const OPEN: u32 = 0;
const CLOSED: u32 = 1;
const ENDED: u32 = 2;

impl Target {
    /// An open target.
    pub fn new(device: &Device) -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                device: device.into(),
                state: Atomic::new(OPEN),
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
        let _ = self.state.cmpxchg(OPEN, CLOSED, Relaxed);
    }

    /// Closes it for good.
    pub fn end(&self) {
        self.state.store(ENDED, Relaxed);
    }

    /// Whether it is closed for good.
    pub fn has_ended(&self) -> bool {
        self.state.load(Relaxed) == ENDED
    }

    /// Undoes [`Self::close`], after a reset or a resume, unless it has ended.
    pub fn reopen(&self) {
        let _ = self.state.cmpxchg(CLOSED, OPEN, Relaxed);
    }

    /// Whether submissions are let through.
    pub fn is_open(&self) -> bool {
        self.state.load(Relaxed) == OPEN
    }
}
