// SPDX-License-Identifier: GPL-2.0

//! Telling what is on the ports: the guest through the conn ring, everybody else
//! through `port-N`.
//!
//! A port's events wait in `Events` while the ring has no room: two at most.
//! `port-N` is written whether or not there is a frontend; for one of 2009 it
//! is the only announcement.

use crate::vusb::{Control, Vusb, PORTS};
use kernel::prelude::*;
use ring::{BackRing, Corrupt};
use usbback_core::Events;
use usbif::{ConnEvent, PortNumber, CONN_ENTRY, MAX_PORTS};
use xen::ring_page::MappedRing;
use xen::xenstore::path;

/// What a frontend still has to be told.
pub(crate) struct Announcer {
    ring: Option<BackRing<MappedRing, CONN_ENTRY>>,
    pub(crate) events: [Events; PORTS],
}

impl Announcer {
    /// `ring`: None for a frontend of 2009.
    pub(crate) fn new(ring: Option<BackRing<MappedRing, CONN_ENTRY>>) -> Self {
        Self {
            ring,
            events: [Events::EMPTY; PORTS],
        }
    }

    /// Sends what there is room for. True: notify the frontend.
    pub(crate) fn send(&mut self) -> Result<bool, Corrupt> {
        let Some(ring) = &mut self.ring else {
            return Ok(false);
        };
        for port in PortNumber::first(MAX_PORTS) {
            let Some(events) = self.events.get_mut(port.index()) else {
                continue;
            };
            while let Some(speed) = events.peek() {
                let Some(request) = ring.pop()? else {
                    // The frontend notifies when it has made room.
                    if !ring.arm()? {
                        return Ok(ring.publish());
                    }
                    continue;
                };
                let event = ConnEvent {
                    id: ConnEvent::request_id(&request),
                    port,
                    speed,
                };
                // There is room for it: a request was just taken.
                let _ = ring.push(&event.encode());
                events.sent();
            }
        }
        Ok(ring.publish())
    }
}

impl Vusb {
    /// Writes the `port-N` that are not true any more. False: some cannot be written now.
    pub(crate) fn write_status(&self, control: &mut Control) -> bool {
        let mut failed = None;
        for port in PortNumber::first(self.ports) {
            let speed = self.speed(port);
            let Some(told) = control.told.get_mut(port.index()) else {
                continue;
            };
            if *told == Some(speed) {
                continue;
            }
            let written = path(fmt!("port-{}", port.get())).and_then(|node| {
                self.dev.while_alive(|store| {
                    store.write_number(self.dev.nodename(), &node, speed.wire().into())
                })
            });
            match written {
                Ok(_) => *told = Some(speed),
                Err(error) => failed = Some((port, error)),
            }
        }
        let said = core::mem::replace(&mut control.complained, failed.is_some());
        if let Some((port, error)) = failed.filter(|_| !said) {
            pr_warn!(
                "domain {}, vusb {}: port-{} cannot be written ({}), which is tried again\n",
                self.domid,
                self.id,
                port.get(),
                error.to_errno()
            );
        }
        failed.is_none()
    }
}
