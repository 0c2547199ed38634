// SPDX-License-Identifier: GPL-2.0

//! The USB interface driver `usbback`.
//!
//! Interfaces come to us in two ways: we claim them on a port that we own
//! (`place.rs`), or the toolstack writes their names to `bind`. The toolstack
//! writes `port/N` first, but its watch may not have fired yet; so a bind looks
//! into XenStore itself. Binding and resets come with the device lock held; of a
//! suspended device that wakes up, `resume` is the only news.

use crate::backend::Backend;
use crate::place::{host_speed, Place};
use crate::{files, toolstack};
use kernel::prelude::*;
use kernel::sync::Arc;
use usb::device::Device;
use usb::driver::InterfaceDriver;
use usb::driver_files::File;
use usb::interface::Interface;
use usb::lock::LockedDevice;
use usbback_core::{unfit, BusName};

/// The driver.
pub(crate) struct Claims(pub(crate) Arc<Backend>);

impl Claims {
    fn place(&self, device: &Device) -> Option<Arc<Place>> {
        self.0.place(device.name().to_bytes())
    }

    /// Does something with the guest's port that a device is on, if it is.
    fn with_attachment(
        &self,
        device: &Device,
        what: impl FnOnce(&crate::attachment::Attachment),
    ) -> Result {
        if let Some(attached) = self
            .place(device)
            .and_then(|place| place.attachment_of(device))
        {
            what(&attached);
        }
        Ok(())
    }
}

impl InterfaceDriver for Claims {
    const NAME: &'static CStr = c"usbback";
    const FILES: &'static [File<Self>] = files::FILES;

    fn probe(&self, device: &LockedDevice<'_>, interface: &Interface) -> Result {
        let busname = BusName::parse(device.name().to_bytes()).ok_or(ENODEV)?;
        let (place, rule) = toolstack::rule_for(&self.0, &busname).ok_or(ENODEV)?;
        let version = self.0.vusb(&rule.target).map(|vusb| vusb.version);
        if let Err(why) = unfit(device.is_hub(), host_speed(device), version) {
            dev_err!((**device).as_ref(), "not for a guest: {}\n", why.reason());
            return Err(ENODEV);
        }
        place.bound(device, interface);
        Ok(())
    }

    fn disconnect(&self, device: &LockedDevice<'_>, interface: &Interface) {
        if let Some(place) = self.place(device) {
            place.unbound(device, interface);
        }
    }

    fn pre_reset(&self, device: &LockedDevice<'_>, _interface: &Interface) -> Result {
        self.with_attachment(device, |attached| attached.quiesce())
    }

    fn post_reset(&self, device: &LockedDevice<'_>, _interface: &Interface) -> Result {
        self.with_attachment(device, |attached| attached.resume())
    }

    fn suspend(&self, device: &Device, _interface: &Interface) -> Result {
        self.with_attachment(device, |attached| attached.quiesce())
    }

    fn resume(&self, device: &Device, _interface: &Interface) -> Result {
        self.with_attachment(device, |attached| attached.woken())
    }

    fn reset_resume(&self, device: &Device, _interface: &Interface) -> Result {
        self.with_attachment(device, |attached| attached.woken())
    }
}
