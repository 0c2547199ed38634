// SPDX-License-Identifier: GPL-2.0

//! Devices that come and go, and hubs that get their ports. The USB core holds the
//! device's lock when it tells us, so all that is done at once is to reserve the
//! ports of a hub, before the hub driver looks at them.

use crate::backend::Backend;
use kernel::sync::Arc;
use usb::hub_notify;
use usb::lock::LockedDevice;
use usb::notify;
use usbback_core::Origin;

/// Listens.
pub(crate) struct Hotplug(pub(crate) Arc<Backend>);

impl hub_notify::Listener for Hotplug {
    fn bound(&self, hub: &LockedDevice<'_>) {
        let name = hub.name().to_bytes();
        for place in self.0.places(|_, _| true) {
            match place.busname.port_on(name) {
                Some(port) => place.reserve_on(hub, port),
                None => place.reserve_peer_on(hub),
            }
        }
    }

    fn unbound(&self, device: &[u8]) {
        // One that a driver of the host's had may go to its guest now.
        if let Some(place) = self.0.place(device) {
            place.look();
        }
    }
}

impl notify::Listener for Hotplug {
    fn added(&self, device: &LockedDevice<'_>) {
        if let Some(place) = self.0.place(device.name().to_bytes()) {
            place.retry();
        }
    }

    fn removed(&self, device: &LockedDevice<'_>) {
        let Some(place) = self.0.place(device.name().to_bytes()) else {
            return;
        };
        // Not the device, its driver: another one is tried (`device_reprobe()`), for udev
        // has loaded one for its kind. What the toolstack has bound is unbound by that.
        let stand = self.0.standing(&place);
        let by_rule = stand.is_some_and(|stand| stand.standing == Ok(Origin::Sysfs));
        if device.is_attached() && by_rule {
            place.look();
        } else {
            place.unplugged();
        }
    }
}
