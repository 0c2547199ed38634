// SPDX-License-Identifier: GPL-2.0

//! What is on the ports of a vusb.

use super::Vusb;
use crate::attachment::Attachment;
use crate::connection::Connection;
use kernel::sync::Arc;
use usb::endpoint::Direction;
use usb::urb::Target;
use usbif::{PortNumber, Speed};

impl Vusb {
    /// Puts a device on a port. False if the vusb is going.
    pub(crate) fn attach(self: &Arc<Self>, attached: &Arc<Attachment>) -> bool {
        {
            let mut link = self.link.lock();
            if link.gone {
                return false;
            }
            let Some(place) = link.attached.get_mut(attached.port.index()) else {
                return false;
            };
            *place = Some(attached.clone());
            link.changed = true;
        }
        self.ports_changed();
        true
    }

    /// Takes a device off its port, if it is on it.
    pub(crate) fn detach(self: &Arc<Self>, attached: &Attachment) {
        {
            let mut link = self.link.lock();
            match link.attached.get_mut(attached.port.index()) {
                Some(place)
                    if place
                        .as_ref()
                        .is_some_and(|on| core::ptr::eq(&**on, attached)) =>
                {
                    *place = None;
                }
                _ => return,
            }
            link.changed = true;
        }
        self.ports_changed();
    }

    /// A device has woken up.
    pub(crate) fn look_again(&self) {
        let connection = {
            let mut link = self.link.lock();
            link.changed = true;
            link.connection.clone()
        };
        if let Some(connection) = connection {
            connection.look();
        }
    }

    pub(super) fn ports_changed(self: &Arc<Self>) {
        if let Some(connection) = self.connection() {
            connection.look();
        }
        self.control_soon();
    }

    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        self.link.lock().connection.clone()
    }

    /// What is on the ports, for a connection that looks; None: as it was.
    pub(crate) fn look_at_ports(&self, mut each: impl FnMut(usize, Option<&Arc<Attachment>>)) {
        let mut link = self.link.lock();
        // One that is still being made: what it sent, nobody could take back.
        if link.connection.is_none() || !core::mem::take(&mut link.changed) {
            return;
        }
        for (index, attached) in link.attached.iter().enumerate() {
            each(index, attached.as_ref());
        }
    }

    /// The speed of what is on a port.
    pub(crate) fn speed(&self, port: PortNumber) -> Speed {
        let link = self.link.lock();
        match link.attached.get(port.index()) {
            Some(Some(attached)) => attached.speed,
            _ => Speed::None,
        }
    }

    /// Takes back what is on its way to a device, or to one endpoint of it; nobody
    /// sends more there meanwhile.
    pub(crate) fn kill_for(&self, target: &Arc<Target>, endpoint: Option<(u8, Direction)>) {
        if let Some(connection) = self.connection() {
            connection.kill_for(target, endpoint);
        }
    }
}
