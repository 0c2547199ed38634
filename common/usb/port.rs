// SPDX-License-Identifier: GPL-2.0

//! Owning a physical port.
//!
//! `usb_hub_claim_port()` marks a hub's port as owned by somebody other than the
//! host's drivers. What is plugged in there is then left unconfigured
//! (`usb_choose_configuration()` says 0), and every probe of an interface of it
//! fails with ENODEV (`usb_probe_interface()`), *our own driver's included*: what
//! writes to `bind` in sysfs gets ENODEV while the port is owned. Interfaces that
//! are bound already stay bound, and [`LockedDevice::claim_interface`] ignores the
//! owner.
//!
//! The owner is an address that the hub driver compares and never follows. It is there
//! before the port is, so that claiming one takes no memory: that may be all that keeps a
//! device from the host.
//!
//! A claim lives as long as the hub driver has the hub. When a hub (or controller) goes,
//! or its configuration changes, its ports go and the claims with them, silently. Whoever
//! wants a port through all that claims anew when the hub has ports again: see
//! [`crate::hub_notify`].
//!
//! Lock order: a claim needs the *hub's* lock, so it is made before the lock of the
//! device on that port is taken, never after. Dropping one takes the hub's lock too.

use crate::{
    device::Device,
    lock::LockedDevice,
    peer,
    port_name::PortName, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::aref::ARef, //
};

/// Who owns ports. Its address is what counts, so it must outlive what it has claimed.
pub struct Owner(KBox<u64>);

impl Owner {
    /// One that nobody else is.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        Ok(Self(KBox::new(0, GFP_KERNEL)?))
    }

    fn address(&self) -> usize {
        (&raw const *self.0) as usize
    }
}

/// A port that we own; released when dropped.
pub struct HubPort {
    hub: ARef<Device>,
    port: u8,
    /// The address of the [`Owner`].
    owner: usize,
    /// Not released yet.
    owned: bool,
}

impl HubPort {
    /// Claims the port that this bus name means: `1-2.3` is port 3 of hub `1-2`, `1-2`
    /// port 2 of root hub `usb1`. Nothing needs to be plugged in there.
    ///
    /// Takes the hub's device lock.
    ///
    /// # Errors
    ///
    /// `EINVAL`: not a bus name, or the hub has no such port. `ENODEV`: the hub is not
    /// there (yet). `EBUSY`: owned by somebody else.
    pub fn claim(busname: &[u8], owner: &Owner) -> Result<Self> {
        let name = PortName::parse(busname).ok_or(EINVAL)?;
        let hub = Device::find(name.hub()).ok_or(ENODEV)?;
        let lock = hub.lock();
        Self::claim_on(&lock, name.port(), owner)
    }

    /// Claims the other half of the connector that a port belongs to, where a device
    /// appears when it changes between high speed and SuperSpeed. `None`: as far as the
    /// kernel knows, there is none.
    ///
    /// Takes both hubs' device locks, one after the other.
    ///
    /// # Errors
    ///
    /// As [`Self::claim`].
    pub fn claim_peer(busname: &[u8], owner: &Owner) -> Result<Option<Self>> {
        let name = PortName::parse(busname).ok_or(EINVAL)?;
        let hub = Device::find(name.hub()).ok_or(ENODEV)?;
        let peer = peer::of(&hub.lock(), name.port());
        let Some(name) = peer else {
            return Ok(None);
        };
        let hub = Device::find(name.hub()).ok_or(ENODEV)?;
        let lock = hub.lock();
        Self::claim_on(&lock, name.port(), owner).map(Some)
    }

    /// The same, if the other half is a port of this hub, whose lock is held.
    ///
    /// # Errors
    ///
    /// As [`Self::claim`].
    pub fn claim_peer_on(
        hub: &LockedDevice<'_>,
        busname: &[u8],
        owner: &Owner,
    ) -> Result<Option<Self>> {
        let name = PortName::parse(busname).ok_or(EINVAL)?;
        (1..=hub.ports())
            .find(|&port| peer::of(hub, port).as_ref() == Some(&name))
            .map(|port| Self::claim_on(hub, port, owner))
            .transpose()
    }

    /// Claims a port of a hub whose lock is held, as in a notifier callback.
    ///
    /// # Errors
    ///
    /// As [`Self::claim`].
    pub fn claim_on(hub: &LockedDevice<'_>, port: u8, owner: &Owner) -> Result<Self> {
        let owner = owner.address();
        // SAFETY: a valid device whose lock is held; the owner is never followed.
        to_result(unsafe {
            bindings::usb_hub_claim_port(hub.as_raw(), port.into(), owner as *mut _)
        })?;
        Ok(Self {
            hub: (&**hub).into(),
            port,
            owner,
            owned: true,
        })
    }

    /// The hub.
    pub fn hub(&self) -> &Device {
        &self.hub
    }

    /// The port of the hub, from 1.
    pub fn number(&self) -> u8 {
        self.port
    }

    /// Releases the port under the lock of the device that is plugged in there, where the
    /// hub's lock cannot be taken: in `disconnect`, so that whoever unbound the interface can
    /// bind another driver as soon as that returns.
    ///
    /// # Errors
    ///
    /// The port, if the device is not on it (any more).
    pub fn release_under(mut self, device: &LockedDevice<'_>) -> Result<(), Self> {
        let here = device.is_attached()
            && device.port_number() == self.port
            && device
                .parent()
                .is_some_and(|hub| core::ptr::eq(&*hub, &*self.hub));
        if !here {
            return Err(self);
        }
        // SAFETY: a valid hub. Its port structures exist as long as a device on it is
        // attached: hub_disconnect() disconnects the devices first, and that waits for the
        // lock of this one. The owner is a word that usb_device_is_owned() reads under the
        // *device's* lock, which is held, and that usb_hub_claim_port() only sets, under
        // the hub's lock, after this has cleared it.
        unsafe { self.release() };
        Ok(())
    }

    /// # Safety
    ///
    /// The hub's lock is held, or what stands for it in `release_under`.
    unsafe fn release(&mut self) {
        if core::mem::take(&mut self.owned) {
            // Nothing to do about a failure: the hub went away, and the claim with it.
            // SAFETY: a valid device, locked by the caller's promise.
            let _ = unsafe {
                bindings::usb_hub_release_port(
                    self.hub.as_raw(),
                    self.port.into(),
                    self.owner as *mut _,
                )
            };
        }
    }

    /// Lets go of a claim that another one of the same port has come after: the port that
    /// this one was of is gone, with its hub or with the hub's configuration. Takes no lock.
    pub fn forget(mut self) {
        self.owned = false;
    }

    /// False when the hub is gone, and the claim with it. When only its ports have gone,
    /// this is true, and [`crate::hub_notify`] tells when they are back.
    pub fn is_held(&self) -> bool {
        self.hub.is_attached()
    }
}

impl Drop for HubPort {
    fn drop(&mut self) {
        if !self.owned || !self.is_held() {
            return;
        }
        let hub = self.hub.clone();
        let _lock = hub.lock();
        // SAFETY: the hub's lock is held.
        unsafe { self.release() };
    }
}
