// SPDX-License-Identifier: GPL-2.0

//! Owning the port in the kernel, so that no driver of the host is offered what
//! is plugged in there.

use super::{host_speed, Peer, Place};
use crate::Show;
use kernel::prelude::*;
use kernel::sync::Arc;
use usb::device::Device;
use usb::lock::LockedDevice;
use usb::port::HubPort;
use usbback_core::{unfit, Leave};

impl Place {
    /// Before a rule of the administrator is accepted: the port can be had, and
    /// no driver of the host uses the device.
    ///
    /// # Errors
    ///
    /// `EBUSY`, after saying who does.
    pub(crate) fn check_free(&self) -> Result {
        let _turn = self.turn.lock();
        self.inner.lock().parked = false;
        match self.reserve() {
            // Nothing is there, or the hub has fewer ports: it may change.
            Ok(()) | Err(ENODEV | EINVAL) => {}
            Err(error) => {
                pr_err!(
                    "{}: the port is reserved by somebody else\n",
                    Show(&self.busname)
                );
                return Err(error);
            }
        }
        let Some(device) = Device::find(self.busname.as_bytes()) else {
            return Ok(());
        };
        let lock = device.lock();
        let mut result = Ok(());
        for interface in lock.interfaces() {
            if lock.is_bound_to(interface, &self.backend.driver) {
                continue;
            }
            if let Some(driver) = lock.driver_name(interface) {
                dev_err!(
                    device.as_ref(),
                    "interface {} is bound to {}, which has to let it go first\n",
                    interface.name(),
                    driver
                );
                result = Err(EBUSY);
            }
        }
        if result.is_err() {
            if let Err(why) = unfit(device.is_hub(), host_speed(&device), None) {
                dev_err!(device.as_ref(), "not for a guest: {}\n", why.reason());
            }
        }
        result
    }

    /// Gives the port up, for a rule that was not accepted.
    pub(crate) fn let_go(&self) {
        let _turn = self.turn.lock();
        self.unreserve();
    }

    /// Owns the port; nothing to do if we do.
    pub(super) fn reserve(&self) -> Result {
        if self.inner.lock().has_port() {
            return Ok(());
        }
        match HubPort::claim(self.busname.as_bytes(), &self.owner) {
            Ok(port) => self.put_port(port),
            // The hub got its ports meanwhile.
            Err(EBUSY) if self.inner.lock().has_port() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The same, for a hub that has just got its ports and whose lock is held.
    pub(crate) fn reserve_on(self: &Arc<Self>, hub: &LockedDevice<'_>, port: u8) {
        let stand = self.backend.standing(self);
        let wanted = match stand.map(|stand| stand.standing) {
            Some(Ok(_)) => true,
            Some(Err(Leave::Reserved)) => self.inner.lock().tainted,
            Some(Err(Leave::ToHost)) | None => false,
        };
        if !wanted {
            return;
        }
        match HubPort::claim_on(hub, port, &self.owner) {
            Ok(port) => {
                self.put_port(port);
                // Forgotten meanwhile, it gives the port up there, and ends there, without
                // the hub's lock.
                self.look();
            }
            Err(error) => {
                // The one that we had was of the ports before these.
                if let Some(old) = self.inner.lock().port.take() {
                    old.forget();
                }
                dev_warn!(
                    hub.as_ref(),
                    "port {} cannot be reserved ({})\n",
                    port,
                    error.to_errno()
                );
            }
        }
    }

    /// The other half of the connector, see `follow_with_peer`, if it is a port of this hub,
    /// which has just got its ports and whose lock is held.
    pub(crate) fn reserve_peer_on(self: &Arc<Self>, hub: &LockedDevice<'_>) {
        if !self.inner.lock().tainted {
            return;
        }
        match HubPort::claim_peer_on(hub, self.busname.as_bytes(), &self.owner) {
            Ok(Some(port)) => {
                let old = core::mem::replace(&mut self.inner.lock().peer, Peer::Reserved(port));
                if let Peer::Reserved(old) = old {
                    old.forget();
                }
                // As above.
                self.look();
            }
            Ok(None) => {}
            Err(error) => dev_warn!(
                hub.as_ref(),
                "the other half of the connector of {} cannot be reserved ({})\n",
                Show(&self.busname),
                error.to_errno()
            ),
        }
    }

    pub(super) fn put_port(&self, port: HubPort) {
        let old = self.inner.lock().port.replace(port);
        // The hub's lock may be held.
        if let Some(old) = old {
            old.forget();
        }
    }

    pub(super) fn unreserve(&self) {
        // Dropped outside of `inner`: that takes the hub's lock.
        let port = self.inner.lock().port.take();
        drop(port);
        self.follow_with_peer();
    }

    /// Where a guest has had a device, the other half of the connector is ours too:
    /// reprogrammed, the device may come back there. Before that it is the host's, for
    /// devices that are too fast for a guest. No device's lock may be held.
    pub(super) fn follow_with_peer(&self) {
        let old = {
            let mut inner = self.inner.lock();
            let wanted = inner.tainted && inner.has_port();
            match (wanted, &inner.peer) {
                (true, Peer::Reserved(port)) if port.is_held() => return,
                (true, Peer::Refused) | (false, Peer::Unknown) => return,
                (true, _) => None,
                (false, _) => Some(core::mem::replace(&mut inner.peer, Peer::Unknown)),
            }
        };
        if old.is_some() {
            return;
        }
        let peer = match HubPort::claim_peer(self.busname.as_bytes(), &self.owner) {
            Ok(Some(port)) => {
                pr_info!(
                    "{}: port {} of {}, the other half of its connector, is reserved with it\n",
                    Show(&self.busname),
                    port.number(),
                    port.hub().name()
                );
                Peer::Reserved(port)
            }
            // There may be one later: hubs come in halves.
            Ok(None) | Err(ENODEV) => return,
            Err(error) => {
                pr_warn!(
                    "{}: the other half of its connector cannot be reserved ({})\n",
                    Show(&self.busname),
                    error.to_errno()
                );
                Peer::Refused
            }
        };
        let mut inner = self.inner.lock();
        if matches!(&inner.peer, Peer::Reserved(port) if port.is_held()) {
            // Its hub got its ports meanwhile.
            return;
        }
        // An old one is of a hub that is gone: dropping it takes no lock.
        inner.peer = peer;
    }
}
