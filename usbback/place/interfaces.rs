// SPDX-License-Identifier: GPL-2.0

//! Having the interfaces of the device: claimed by us, or bound to us by the
//! toolstack, and let go again.

use super::{same, Held, Place};
use crate::toolstack;
use kernel::prelude::*;
use kernel::sync::Arc;
use usb::device::Device;
use usb::interface::Interface;
use usb::lock::LockedDevice;
use usbback_core::{Interfaces, Origin};

impl Place {
    /// Chooses a configuration. `for_host`: its drivers are to see the device.
    pub(super) fn configure(&self, device: &mut LockedDevice<'_>, for_host: bool) -> Result {
        let value = device.preferred_configuration().ok_or(ENODEV)?;
        let set = |device: &mut LockedDevice<'_>| device.set_configuration(Some(value));
        self.owned(|| {
            if for_host {
                set(device)
            } else {
                device.without_strings(set)
            }
        })?;
        if device.active_configuration().is_none() {
            return Err(EIO);
        }
        Ok(())
    }

    /// Binds every interface of the active configuration.
    pub(crate) fn claim(&self, device: &mut LockedDevice<'_>) -> Result {
        let configuration = device.active_configuration().ok_or(ENODEV)?;
        let mut wanted = Interfaces::default();
        for interface in device.interfaces() {
            if !device.is_bound_to(interface, &self.backend.driver) {
                wanted.insert(configuration, interface.number());
            }
        }
        for number in wanted.iter() {
            device.claim_interface(&self.backend.driver, number)?;
            self.hold(device, configuration, number, true);
        }
        Ok(())
    }

    /// An interface is ours.
    pub(super) fn hold(&self, device: &Device, configuration: u8, number: u8, claimed: bool) {
        let mut inner = self.inner.lock();
        match &mut inner.held {
            Some(held) if same(&held.device, device) => {
                held.interfaces.insert(configuration, number);
            }
            _ => {
                let mut interfaces = Interfaces::default();
                interfaces.insert(configuration, number);
                inner.held = Some(Held {
                    device: device.into(),
                    interfaces,
                    claimed,
                    used: false,
                });
            }
        }
    }

    /// Unbinds what we have.
    pub(super) fn release(&self, device: &mut LockedDevice<'_>) {
        let interfaces = self.interfaces();
        self.owned(|| {
            device.without_strings(|device| {
                for number in interfaces.iter() {
                    device.release_interface(&self.backend.driver, number);
                }
            });
        });
        // Those that are no more, or were rebound, are not ours either.
        let mut inner = self.inner.lock();
        if let Some(held) = &mut inner.held {
            held.interfaces = Interfaces::default();
            // Whoever bound them, the host's drivers are not back yet.
            held.claimed = true;
        }
    }

    /// Gives the device to the host's drivers: as if plugged in anew.
    pub(super) fn offer(&self, device: &mut LockedDevice<'_>) -> Result {
        let value = device
            .active_configuration()
            .or_else(|| device.preferred_configuration());
        self.owned(|| device.set_configuration(value))?;
        self.inner.lock().held = None;
        Ok(())
    }

    /// What a guest has made of the device ends here.
    pub(super) fn renew(&self, device: &mut LockedDevice<'_>) -> Result {
        match self.owned(|| device.reset()) {
            // It comes back as something else, and the USB core enumerates it again.
            Ok(()) | Err(ENODEV) => {
                self.inner.lock().tainted = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Somebody has bound an interface to us. With the device lock held.
    pub(crate) fn bound(self: &Arc<Self>, device: &LockedDevice<'_>, interface: &Interface) {
        let Some(configuration) = device.active_configuration() else {
            return;
        };
        let stale = {
            let mut inner = self.inner.lock();
            inner.parked = false;
            match &inner.held {
                Some(held) if !same(&held.device, device) => inner.attached.take(),
                _ => None,
            }
        };
        if let Some(stale) = stale {
            stale.withdraw();
        }
        self.hold(device, configuration, interface.number(), false);
        self.look();
    }

    /// An interface is not ours any more. With the device lock held.
    pub(crate) fn unbound(self: &Arc<Self>, device: &LockedDevice<'_>, interface: &Interface) {
        let by_hand = device.is_attached();
        {
            let mut inner = self.inner.lock();
            let own = inner.own && by_hand;
            let Some(held) = inner.held_of(device) else {
                return;
            };
            held.interfaces.remove(interface.number());
            if own {
                return;
            }
        }
        let toolstack = by_hand
            && self
                .backend
                .standing(self)
                .is_some_and(|stand| stand.standing == Ok(Origin::XenStore));
        // What the toolstack binds again is not offered by us.
        let binds_back = toolstack && toolstack::binds_back(&self.busname);
        let (attached, port) = {
            let mut inner = self.inner.lock();
            let Some(held) = inner.held_of(device) else {
                return;
            };
            held.claimed &= !binds_back;
            // The host's driver is bound next, which an owned port would prevent.
            let give_up = by_hand && (toolstack || !held.claimed);
            inner.parked = by_hand;
            let port = if give_up { inner.port.take() } else { None };
            (inner.attached.take(), port)
        };
        if let Some(attached) = attached {
            attached.withdraw();
        }
        if let Some(Err(port)) = port.map(|port| port.release_under(device)) {
            self.put_port(port);
        }
        self.look();
    }
}
