// SPDX-License-Identifier: GPL-2.0

//! The data worker: takes requests from the ring, has them done, answers.
//!
//! One turn at a time, each of bounded length, none of which waits for a device, unless the
//! guest cancels what is being taken back at that moment.
//! A request is answered exactly once, whatever happens: each is in one slot
//! until its answer is on the ring.
//!
//! Where a request is: at a device (its URB flies), or waiting on its port behind
//! an operation of the USB core, or itself such an operation at the port's place.

mod ports;

use crate::announce::Announcer;
use crate::attachment::Attachment;
use crate::connection::{Connection, Doorbell};
use crate::operation::Pending;
use crate::transfer::{self, Copier, Unfit};
use crate::vusb::PORTS;
use kernel::prelude::*;
use kernel::sync::Arc;
use ring::{BackRing, Corrupt};
use usb::urb::{Ticket, Urb};
use usbback_core::{landed, refused, Back, Index, Port, Slots, Verdict, SLOTS};
use usbif::{Direction, PortNumber, Request, Response, Statistics, Status, Submit, URB_ENTRY};
use xen::evtchn::EventChannel;
use xen::ring_page::MappedRing;
use xen::DomId;

/// Requests taken in one turn: two rings full.
const BUDGET: u32 = 32;

/// What the worker owns. Fields are dropped in this order: no event comes, the
/// rings are unmapped, the memory goes.
pub(crate) struct Engine {
    channel: Pin<KBox<EventChannel<Doorbell>>>,
    ring: BackRing<MappedRing, URB_ENTRY>,
    announcer: Announcer,
    slots: Slots<Flight>,
    /// The requests in the slots.
    submits: KVec<Option<Submit>>,
    /// The URBs of the slots; None while they fly.
    urbs: KVec<Option<Urb<Connection>>>,
    ports: KVec<Port<Arc<Attachment>>>,
    copier: Copier,
    statistics: Statistics,
    /// Something was done since the last event was acknowledged.
    worked: bool,
}

/// What is known of a request besides itself.
struct Flight {
    port: PortNumber,
    stage: Stage,
}

/// Where it is.
#[derive(Clone, Copy)]
enum Stage {
    /// Behind an operation, on its port.
    Waiting,
    /// At the device.
    Flying(Ticket),
    /// An operation of the USB core.
    Operation,
}

impl Engine {
    pub(crate) fn new(
        ring: BackRing<MappedRing, URB_ENTRY>,
        announcer: Announcer,
        channel: Pin<KBox<EventChannel<Doorbell>>>,
        urbs: KVec<Option<Urb<Connection>>>,
        domain: DomId,
    ) -> Result<KBox<Self>> {
        let mut submits = KVec::with_capacity(urbs.len(), GFP_KERNEL)?;
        for _ in &urbs {
            submits.push(None, GFP_KERNEL)?;
        }
        let mut ports = KVec::with_capacity(PORTS, GFP_KERNEL)?;
        for _ in 0..PORTS {
            ports.push(Port::Empty, GFP_KERNEL)?;
        }
        let copier = Copier::new(domain)?;
        Ok(KBox::new(
            Self {
                channel,
                ring,
                announcer,
                slots: Slots::default(),
                submits,
                urbs,
                ports,
                copier,
                statistics: Statistics::default(),
                worked: false,
            },
            GFP_KERNEL,
        )?)
    }

    /// One turn. True: there is more to do.
    pub(crate) fn turn(&mut self, connection: &Arc<Connection>) -> Result<bool, Corrupt> {
        self.look_at_ports(connection);
        // Bounded: what comes back meanwhile has been sent for requests taken before.
        while let Some(back) = connection.back() {
            match back {
                Back::Urb(urb) => self.landed(connection, urb),
                Back::Operation(ended) => self.finished(connection, ended),
            }
        }
        let mut more = true;
        for _ in 0..BUDGET {
            let Some(entry) = self.ring.pop()? else {
                more = false;
                break;
            };
            self.worked = true;
            self.request(connection, &entry);
        }
        let events = self.announcer.send()?;
        let responses = self.ring.publish();
        if events || responses {
            self.worked = true;
            self.channel.notify();
        }
        let idle = !more && !self.ring.arm()?;
        let spurious = idle && !core::mem::take(&mut self.worked);
        if spurious {
            self.statistics.spurious();
        }
        connection.vusb.count(&self.statistics);
        if idle {
            self.channel.eoi(spurious);
        }
        Ok(!idle)
    }

    fn answer(&mut self, response: &Response) {
        // There is room: each answer is to a request that was taken.
        let _ = self.ring.push(&response.encode());
    }

    /// Answers the request in a slot and frees the slot.
    fn end(&mut self, slot: Index, status: Status) {
        if let Some((id, _)) = self.slots.remove(slot) {
            self.answer(&Response::plain(id, status));
            self.statistics.ended(status, Direction::Out, 0);
        }
    }

    fn port(&mut self, port: PortNumber) -> Option<&mut Port<Arc<Attachment>>> {
        self.ports.get_mut(port.index())
    }

    /// Takes a request. Out of line: what comes back does not need room for one on the stack.
    #[inline(never)]
    fn request(&mut self, connection: &Arc<Connection>, entry: &[u8; URB_ENTRY]) {
        match &Request::parse(entry) {
            Err(refused) => {
                bad_request(connection, refused.reason);
                self.answer(&Response::plain(refused.id, Status::Invalid));
            }
            Ok(Request::Unlink { id, target, .. }) => {
                self.unlink(connection, *target);
                self.answer(&Response::plain(*id, Status::Ok));
            }
            Ok(Request::Submit(submit)) => self.accept(connection, submit),
            Ok(Request::Suspend { id, port }) => self.suspend(connection, *id, *port),
            Ok(Request::Indirect(indirect)) => match &self.copier.complete(indirect) {
                Ok(submit) => self.accept(connection, submit),
                Err(Unfit(reason)) => {
                    bad_request(connection, reason);
                    self.answer(&Response::plain(indirect.submit().id, Status::Invalid));
                }
            },
        }
    }

    /// Gives a request a slot. None: it is answered, for its id is in use.
    fn take(&mut self, id: u16, port: PortNumber, submit: Option<&Submit>) -> Option<Index> {
        let stage = Stage::Waiting;
        let Ok(slot) = self.slots.insert(id, Flight { port, stage }) else {
            self.answer(&Response::plain(id, Status::Invalid));
            return None;
        };
        if let Some(place) = self.submits.get_mut(slot.get()) {
            *place = submit.copied();
        }
        self.statistics.took();
        if self.slots.used().count() == SLOTS {
            self.statistics.waited();
        }
        Some(slot)
    }

    fn accept(&mut self, connection: &Arc<Connection>, submit: &Submit) {
        let Some(slot) = self.take(submit.id, submit.port, Some(submit)) else {
            return;
        };
        let verdict = match self.port(submit.port) {
            None => Some(Verdict::Answer(slot, Status::NoDevice)),
            Some(port) => port.request(slot, submit),
        };
        match verdict {
            Some(verdict) => self.follow(connection, submit.port, verdict),
            None => self.go_on(connection, submit.port),
        }
    }

    /// Takes from a port's queue what can go.
    fn go_on(&mut self, connection: &Arc<Connection>, number: PortNumber) {
        loop {
            let flying = self.control_flies(number);
            let Some(verdict) = self.port(number).and_then(|port| port.next(flying)) else {
                return;
            };
            self.follow(connection, number, verdict);
        }
    }

    /// Whether a control request to endpoint 0 is at the device on a port.
    fn control_flies(&self, port: PortNumber) -> bool {
        self.slots.used().any(|slot| {
            let flies = self.slots.get(slot).is_some_and(|flight| {
                flight.port == port && matches!(flight.stage, Stage::Flying(_))
            });
            let submit = self.submits.get(slot.get()).and_then(Option::as_ref);
            flies && submit.is_some_and(|submit| submit.default_control().is_some())
        })
    }

    /// Does what a port says.
    fn follow(&mut self, connection: &Arc<Connection>, port: PortNumber, verdict: Verdict) {
        match verdict {
            Verdict::Answer(slot, status) => self.end(slot, status),
            Verdict::Submit(slot) => self.submit(connection, slot),
            Verdict::Run(slot, operation) => {
                if let Some(flight) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                    flight.stage = Stage::Operation;
                }
                let Some(attachment) = self.port(port).and_then(|port| port.device().cloned())
                else {
                    return;
                };
                let place = attachment.place.clone();
                place.submit(Pending {
                    operation,
                    slot,
                    attachment,
                    connection: connection.clone(),
                });
            }
        }
    }

    /// Sends a request to its device.
    fn submit(&mut self, connection: &Connection, slot: Index) {
        if let Err(status) = self.try_submit(connection, slot) {
            self.end(slot, status);
        }
    }

    fn try_submit(&mut self, connection: &Connection, slot: Index) -> Result<(), Status> {
        let index = slot.get();
        let flight = self.slots.get_mut(slot).ok_or(Status::IoError)?;
        let submit = self
            .submits
            .get(index)
            .and_then(Option::as_ref)
            .ok_or(Status::IoError)?;
        let target = self
            .ports
            .get(flight.port.index())
            .and_then(Port::device)
            .map(|attached| &attached.target)
            .ok_or(Status::NoDevice)?;
        let place = self.urbs.get_mut(index).ok_or(Status::IoError)?;
        let mut urb = place.take().ok_or(Status::IoError)?;
        let transfer = match self.copier.fetch(submit, &mut urb) {
            Ok(()) => transfer::of(submit),
            Err(Unfit(reason)) => {
                *place = Some(urb);
                bad_request(connection, reason);
                return Err(Status::Invalid);
            }
        };
        match urb.submit(target, &transfer) {
            Ok(ticket) => {
                flight.stage = Stage::Flying(ticket);
                Ok(())
            }
            Err(refusal) => {
                *place = Some(refusal.urb);
                Err(refused(refusal.error.to_errno(), target.has_ended()))
            }
        }
    }

    /// A URB has come back.
    fn landed(&mut self, connection: &Arc<Connection>, urb: Urb<Connection>) {
        let index = urb.tag();
        let submit = self.submits.get(index).and_then(Option::as_ref);
        let leaves = Index::new(index).is_none_or(|slot| self.leaves(slot));
        let response = submit.map(|submit| {
            let status = landed(urb.status(), leaves);
            let response = self.copier.give(submit, &urb, status);
            let (status, bytes) = (response.status, response.actual_length);
            self.statistics.ended(status, submit.direction, bytes);
            response
        });
        if let Some(place) = self.urbs.get_mut(index) {
            *place = Some(urb);
        }
        let ended = Index::new(index).and_then(|slot| self.slots.remove(slot));
        if let (Some((id, flight)), Some(response)) = (ended, response) {
            self.answer(&Response { id, ..response });
            self.go_on(connection, flight.port);
        }
    }

    /// Whether the device of a request does not stay on its port.
    fn leaves(&self, slot: Index) -> bool {
        self.slots
            .get(slot)
            .and_then(|flight| self.ports.get(flight.port.index()))
            .and_then(Port::device)
            .is_none_or(|attached| attached.target.has_ended())
    }

    /// Gives a request back early, if it is there. An operation of the USB core
    /// is not interrupted: the device would be left half-way.
    fn unlink(&mut self, connection: &Arc<Connection>, target: u16) {
        let Some(slot) = self.slots.find(target) else {
            return;
        };
        let Some(flight) = self.slots.get(slot) else {
            return;
        };
        match flight.stage {
            Stage::Flying(ticket) => connection.unlink(slot, ticket),
            Stage::Waiting => {
                let port = flight.port;
                if self.port(port).is_some_and(|port| port.withdraw(slot)) {
                    self.end(slot, Status::Shutdown);
                    self.go_on(connection, port);
                }
            }
            Stage::Operation => {}
        }
    }
}

/// Says what is wrong with a request, unless that was said too often.
fn bad_request(connection: &Connection, reason: &str) {
    if connection.vusb.limit.allows() {
        pr_warn!(
            "domain {}, vusb {}: bad request: {}\n",
            connection.vusb.domid,
            connection.vusb.id,
            reason
        );
    }
}
