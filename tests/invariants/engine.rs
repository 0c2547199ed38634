// SPDX-License-Identifier: GPL-2.0

//! The backend's data worker, put together from the pure crates as
//! `usbback/engine.rs` does, on a [`Host`] instead of a kernel.

use ring::{BackRing, SharedPage};
use usbback_core::{Back, Ended, Index, Operation, Port, Slots, Verdict, SLOTS};
use usbif::{Indirect, PortNumber, Request, Response, Status, Submit, MAX_PORTS, URB_ENTRY};

/// What is around the worker.
pub trait Host {
    /// Serial of the device on a port.
    fn attached(&self, port: PortNumber) -> Option<u64>;
    /// Sends the request in a slot to the device with that serial; false: it is
    /// not there any more. It comes back through [`Host::back`].
    fn submit(&self, slot: Index, port: PortNumber, serial: u64) -> bool;
    /// Asks for it to come back early.
    fn unlink(&self, slot: Index);
    /// Has the USB core do something, one at a time for each device.
    fn run(&self, running: Running);
    /// Whether the device with that serial is not suspended.
    fn is_awake(&self, serial: u64) -> bool;
    /// Takes one thing that has come back.
    fn back(&self) -> Option<Back<Index, ()>>;
}

/// An operation that somebody runs.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Port of the device.
    pub port: PortNumber,
    /// The device.
    pub serial: u64,
    /// The request that waits for it.
    pub slot: Option<Index>,
    /// What it is.
    pub operation: Operation,
}

impl Running {
    /// Its end.
    pub fn ended(self, status: Status) -> Ended<()> {
        Ended {
            device: (),
            serial: self.serial,
            slot: self.slot,
            status,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Waiting,
    Flying,
    Operation,
}

struct Flight {
    port: PortNumber,
    stage: Stage,
}

/// Behind an entry's first segment.
pub(crate) const LIST: usize = 28;

/// What an entry's list of segments holds: all that follows the entry's only segment, and
/// that again.
fn list_of(entry: &[u8; URB_ENTRY]) -> [u8; Indirect::LIST] {
    let rest = &entry[LIST..];
    core::array::from_fn(|at| rest[at % rest.len()])
}

/// The worker's own.
pub struct Engine<P, H> {
    ring: BackRing<P, URB_ENTRY>,
    slots: Slots<Flight>,
    submits: [Option<Submit>; SLOTS],
    ports: Vec<Port<u64>>,
    /// How often the guest was to be told that a device has woken up.
    pub woken: [u32; MAX_PORTS as usize],
    /// What is around it.
    pub host: H,
}

impl<P: SharedPage, H: Host> Engine<P, H> {
    /// Takes a ring over.
    pub fn new(page: P, host: H) -> Self {
        Self {
            ring: BackRing::attach(page).unwrap(),
            slots: Slots::default(),
            submits: [None; SLOTS],
            ports: (0..MAX_PORTS).map(|_| Port::Empty).collect(),
            woken: [0; MAX_PORTS as usize],
            host,
        }
    }

    /// A turn, which takes at most `budget` requests. True: there is more.
    pub fn turn(&mut self, budget: usize) -> bool {
        self.look_at_ports();
        while let Some(back) = self.host.back() {
            match back {
                Back::Urb(slot) => {
                    let flight = self.end(slot, Status::Ok);
                    assert_eq!(flight.stage, Stage::Flying);
                    self.go_on(flight.port);
                }
                Back::Operation(ended) => self.finish(ended),
            }
        }
        let mut more = true;
        for _ in 0..budget {
            let Some(entry) = self.ring.pop().unwrap() else {
                more = false;
                break;
            };
            self.request(&entry);
        }
        let _ = self.ring.publish();
        // Every request taken and not answered is in one slot.
        assert_eq!(self.ring.unanswered() as usize, self.slots.used().count());
        more || self.ring.arm().unwrap()
    }

    /// Requests taken and not answered.
    pub fn unanswered(&self) -> usize {
        self.slots.used().count()
    }

    fn answer(&mut self, id: u16, status: Status) {
        let response = Response::plain(id, status).encode();
        self.ring.push(&response).expect("no room for an answer");
    }

    fn end(&mut self, slot: Index, status: Status) -> Flight {
        let (id, flight) = self.slots.remove(slot).expect("answered twice");
        self.answer(id, status);
        flight
    }

    fn look_at_ports(&mut self) {
        for number in PortNumber::first(MAX_PORTS) {
            let port = &mut self.ports[number.index()];
            let now = self.host.attached(number);
            if port.device().copied() == now {
                if now.is_some_and(|serial| self.host.is_awake(serial)) && port.woke() {
                    self.woken[number.index()] += 1;
                }
                continue;
            }
            let lost: Vec<_> = port.detach().collect();
            if let Some(serial) = now {
                *port = Port::attach(serial, serial % 2 == 0);
            }
            for slot in lost {
                assert_eq!(self.end(slot, Status::NoDevice).stage, Stage::Waiting);
            }
        }
    }

    fn request(&mut self, entry: &[u8; URB_ENTRY]) {
        match Request::parse(entry) {
            Err(refused) => self.answer(refused.id, Status::Invalid),
            Ok(Request::Unlink { id, target, .. }) => {
                self.unlink(target);
                self.answer(id, Status::Ok);
            }
            Ok(Request::Submit(submit)) => self.accept(&submit),
            Ok(Request::Suspend { id, port }) => self.suspend(id, port),
            Ok(Request::Indirect(indirect)) => match indirect.complete(&list_of(entry)) {
                Ok(submit) => self.accept(&submit),
                Err(refused) => self.answer(refused.id, Status::Invalid),
            },
        }
    }

    fn accept(&mut self, submit: &Submit) {
        let flight = Flight {
            port: submit.port,
            stage: Stage::Waiting,
        };
        let Ok(slot) = self.slots.insert(submit.id, flight) else {
            return self.answer(submit.id, Status::Invalid);
        };
        self.submits[slot.get()] = Some(*submit);
        match self.ports[submit.port.index()].request(slot, submit) {
            Some(verdict) => self.follow(submit.port, verdict),
            None => self.go_on(submit.port),
        }
    }

    fn suspend(&mut self, id: u16, port: PortNumber) {
        let on = |slot| self.slots.get(slot).unwrap().port == port;
        let outstanding = self.slots.used().any(on);
        let flight = Flight {
            port,
            stage: Stage::Waiting,
        };
        let Ok(slot) = self.slots.insert(id, flight) else {
            return self.answer(id, Status::Invalid);
        };
        self.submits[slot.get()] = None;
        let verdict = self.ports[port.index()].suspend(slot, outstanding);
        self.follow(port, verdict);
    }

    fn go_on(&mut self, port: PortNumber) {
        loop {
            let flies = self.slots.used().any(|slot| {
                let flight = self.slots.get(slot).unwrap();
                flight.port == port
                    && flight.stage == Stage::Flying
                    && self.submits[slot.get()]
                        .unwrap()
                        .default_control()
                        .is_some()
            });
            match self.ports[port.index()].next(flies) {
                Some(verdict) => self.follow(port, verdict),
                None => return,
            }
        }
    }

    fn follow(&mut self, port: PortNumber, verdict: Verdict) {
        let serial = self.ports[port.index()].device().copied();
        match verdict {
            Verdict::Answer(slot, status) => {
                assert_eq!(self.end(slot, status).stage, Stage::Waiting);
            }
            Verdict::Submit(slot) => {
                let flight = self.slots.get_mut(slot).unwrap();
                assert_eq!(flight.stage, Stage::Waiting);
                assert_eq!(flight.port, port);
                flight.stage = Stage::Flying;
                if !self.host.submit(slot, port, serial.unwrap()) {
                    self.end(slot, Status::Shutdown);
                }
            }
            Verdict::Run(slot, operation) => {
                let unasked = matches!(operation, Operation::Reset | Operation::Resume);
                assert!(slot.is_some() != unasked);
                if let Some(slot) = slot {
                    let flight = self.slots.get_mut(slot).unwrap();
                    assert_eq!(flight.stage, Stage::Waiting);
                    flight.stage = Stage::Operation;
                }
                let serial = serial.unwrap();
                self.host.run(Running {
                    port,
                    serial,
                    slot,
                    operation,
                });
            }
        }
    }

    fn finish(&mut self, ended: Ended<()>) {
        if let Some(slot) = ended.slot {
            let flight = self.end(slot, ended.status);
            assert_eq!(flight.stage, Stage::Operation);
        }
        let on = |port: &Port<u64>| port.device() == Some(&ended.serial);
        if let Some(number) = self.ports.iter().position(on) {
            let port = PortNumber::new(number as u8 + 1).unwrap();
            let woke = self.ports[number].done(self.host.is_awake(ended.serial));
            if woke && ended.status == Status::Ok {
                self.woken[number] += 1;
            }
            self.go_on(port);
        }
    }

    fn unlink(&mut self, target: u16) {
        let Some(slot) = self.slots.find(target) else {
            return;
        };
        let flight = self.slots.get(slot).unwrap();
        match flight.stage {
            Stage::Flying => self.host.unlink(slot),
            Stage::Waiting => {
                let port = flight.port;
                if self.ports[port.index()].withdraw(slot) {
                    self.end(slot, Status::Shutdown);
                    self.go_on(port);
                }
            }
            Stage::Operation => {}
        }
    }
}
