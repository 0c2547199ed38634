// SPDX-License-Identifier: GPL-2.0

//! Devices that come and go. The USB core holds the device's lock when it tells
//! us, so all that is done at once is to reserve the ports of a new hub, before
//! the hub driver looks at them.

use crate::backend::Backend;
use kernel::sync::Arc;
use usb::lock::LockedDevice;
use usb::notify::Listener;

/// Listens.
pub(crate) struct Hotplug(pub(crate) Arc<Backend>);

impl Listener for Hotplug {
    fn added(&self, device: &LockedDevice<'_>) {
        let name = device.name().to_bytes();
        if device.is_hub() {
            let places = self
                .0
                .places(|rule, _| rule.busname.port_on(name).is_some());
            for place in &places {
                if let Some(port) = place.busname.port_on(name) {
                    place.reserve_on(device, port);
                }
            }
        }
        if let Some(place) = self.0.place(name) {
            place.look();
        }
    }

    fn removed(&self, device: &LockedDevice<'_>) {
        if let Some(place) = self.0.place(device.name().to_bytes()) {
            place.unplugged();
        }
    }
}
