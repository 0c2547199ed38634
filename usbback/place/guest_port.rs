// SPDX-License-Identifier: GPL-2.0

//! Putting the device on its guest's port, and taking it off when it, or the
//! reason for it, is gone.

use super::{host_speed, same, Place};
use crate::attachment::Attachment;
use crate::backend::Standing;
use crate::Show;
use kernel::prelude::*;
use kernel::sync::Arc;
use usb::device::Device;
use usb::lock::LockedDevice;
use usbback_core::{unfit, Leave, Origin};
use xen::patience::patiently;

impl Place {
    /// Puts the device on the guest's port. False if that has to wait.
    pub(super) fn attach(self: &Arc<Self>, stand: &Standing, device: &LockedDevice<'_>) -> bool {
        let Some(vusb) = self.backend.vusb(&stand.rule.target) else {
            return false;
        };
        let port = stand.rule.target.port;
        if port.get() > vusb.ports {
            pr_warn!(
                "{}: that vusb has {} ports\n",
                Show(&stand.rule),
                vusb.ports
            );
            return false;
        }
        let Ok(speed) = unfit(device.is_hub(), host_speed(device), Some(vusb.version)) else {
            return true;
        };
        let used = {
            let inner = self.inner.lock();
            // Of a configuration without interfaces there is nothing to hold.
            inner.held.as_ref().map_or(inner.tainted, |held| {
                held.used && same(&held.device, device)
            })
        };
        let attached =
            patiently(|| Attachment::new(self.clone(), device, speed, vusb.clone(), port, used));
        let attached = match attached {
            Ok(attached) => attached,
            Err(error) => {
                dev_err!(
                    (**device).as_ref(),
                    "not for a guest now: it cannot be attached ({})\n",
                    error.to_errno()
                );
                return false;
            }
        };
        {
            let mut inner = self.inner.lock();
            inner.tainted = true;
            if let Some(held) = &mut inner.held {
                held.used = true;
            }
            inner.attached = Some(attached.clone());
        }
        if !vusb.attach(&attached) {
            self.inner.lock().attached = None;
            return false;
        }
        let (vendor, product) = device.ids();
        dev_info!(
            (**device).as_ref(),
            "{:04x}:{:04x} goes to domain {}, vusb {}, port {}\n",
            vendor,
            product,
            vusb.domid,
            vusb.id,
            port.get()
        );
        true
    }

    /// Takes the device off the guest's port.
    pub(crate) fn withdraw(&self) {
        let attached = self.inner.lock().attached.take();
        if let Some(attached) = attached {
            attached.withdraw();
            pr_info!(
                "{}: taken from domain {}, vusb {}, port {}\n",
                Show(&self.busname),
                attached.vusb.domid,
                attached.vusb.id,
                attached.port.get()
            );
        }
    }

    /// Forgets a device that is not there any more.
    pub(super) fn drop_stale(self: &Arc<Self>) {
        let present = Device::find(self.busname.as_bytes());
        let attached = {
            let mut inner = self.inner.lock();
            let stays = |device: &Device| {
                device.is_attached() && present.as_ref().is_some_and(|found| same(found, device))
            };
            if inner.complained.as_ref().is_some_and(|old| !stays(old)) {
                inner.complained = None;
            }
            let held = inner.held.as_ref().is_some_and(|held| !stays(&held.device));
            let attached = inner
                .attached
                .as_ref()
                .is_some_and(|attached| !stays(attached.target.device()));
            if !held && !attached && !inner.unplugged {
                return;
            }
            inner.parked = false;
            inner.unplugged = false;
            if held {
                inner.held = None;
            }
            if attached {
                inner.attached.take()
            } else {
                None
            }
        };
        if let Some(attached) = attached {
            attached.withdraw();
        }
        self.lost();
    }

    /// A guest's device has been pulled out, or is dead. What the toolstack has
    /// assigned is not assigned any more: a node that names a device that is not
    /// there would make all its later work fail.
    pub(super) fn lost(self: &Arc<Self>) {
        let Some(stand) = self.backend.standing(self) else {
            return;
        };
        if stand.standing != Ok(Origin::XenStore) {
            return;
        }
        let ended = match self.backend.vusb(&stand.rule.target) {
            Some(vusb) => vusb.unassign(&stand.rule),
            None => self.backend.end_rule(&stand.rule, Leave::Reserved),
        };
        if !ended {
            return;
        }
        pr_info!(
            "{}: the device of domain {} is gone, and its assignment with it\n",
            Show(&self.busname),
            stand.rule.target.domid
        );
    }

    /// The guest's device does not work any more.
    pub(crate) fn dead(self: &Arc<Self>) {
        self.withdraw();
        self.inner.lock().parked = true;
        self.lost();
    }

    /// The guest's port that a device is on.
    pub(crate) fn attachment_of(&self, device: &Device) -> Option<Arc<Attachment>> {
        let inner = self.inner.lock();
        inner
            .attached
            .as_ref()
            .filter(|attached| same(attached.target.device(), device))
            .cloned()
    }
}
