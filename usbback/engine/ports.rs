// SPDX-License-Identifier: GPL-2.0

//! What happens to ports: devices that come, go, fall asleep and wake up, and the end
//! of what the USB core has done to them.

use super::Engine;
use crate::attachment::Attachment;
use crate::connection::Connection;
use kernel::sync::Arc;
use usbback_core::{Ended, Index, Port, Verdict, SLOTS};
use usbif::{PortNumber, Speed, Status};

impl Engine {
    /// Follows what was attached and detached meanwhile.
    pub(super) fn look_at_ports(&mut self, connection: &Arc<Connection>) {
        // Bits of slots whose requests lost their device while they waited.
        let mut lost = 0u16;
        let ports = &mut self.ports;
        let events = &mut self.announcer.events;
        connection.vusb.look_at_ports(|index, now| {
            let (Some(port), Some(events)) = (ports.get_mut(index), events.get_mut(index)) else {
                return;
            };
            let same = match (port.device(), now) {
                (None, None) => true,
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                _ => false,
            };
            if same {
                if now.is_some_and(|now| now.is_awake()) && port.woke() {
                    events.wake();
                }
                return;
            }
            for slot in port.detach() {
                lost |= 1u16.wrapping_shl(slot.get() as u32);
            }
            match now {
                None => events.set(Speed::None),
                Some(new) => {
                    events.set(new.speed);
                    *port = Port::attach(new.clone(), new.use_it());
                }
            }
        });
        for slot in (0..SLOTS).filter_map(Index::new) {
            if lost & 1u16.wrapping_shl(slot.get() as u32) != 0 {
                self.end(slot, Status::NoDevice);
            }
        }
    }

    /// Takes a request to suspend the device on a port.
    pub(super) fn suspend(&mut self, connection: &Arc<Connection>, id: u16, number: PortNumber) {
        let on = |slot| self.slots.get(slot).is_some_and(|on| on.port == number);
        let outstanding = self.slots.used().any(on);
        let Some(slot) = self.take(id, number, None) else {
            return;
        };
        let verdict = match self.port(number) {
            None => Verdict::Answer(slot, Status::NoDevice),
            Some(port) => port.suspend(slot, outstanding),
        };
        self.follow(connection, number, verdict);
    }

    /// An operation has ended: its port goes on.
    pub(super) fn finished(
        &mut self,
        connection: &Arc<Connection>,
        finished: Ended<Arc<Attachment>>,
    ) {
        if let Some(slot) = finished.slot {
            self.end(slot, finished.status);
        }
        let number = finished.device.port;
        let Some(port) = self.port(number) else {
            return;
        };
        let current = port
            .device()
            .is_some_and(|device| Arc::ptr_eq(device, &finished.device));
        if current {
            let woke = port.done(finished.device.is_awake());
            // A suspension that has failed says itself that the device is awake.
            let events = self.announcer.events.get_mut(number.index());
            if let Some(events) = events.filter(|_| woke && finished.status == Status::Ok) {
                events.wake();
            }
            self.go_on(connection, number);
        }
    }
}
