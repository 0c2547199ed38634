// SPDX-License-Identifier: GPL-2.0

//! A vusb of the backend: the ring, the slots, the ports and what comes back,
//! put together as `usbback/engine.rs` does, without a kernel.
//!
//! The guest says what it likes, devices come and go, URBs and operations end in
//! any order, and the data worker looks when it gets to it. Every request that
//! the worker has taken is answered exactly once.

use crate::{page::Page, Choices};
use ring::{entries, BackRing, SharedPage};
use std::collections::HashMap;
use usbback_core::{Ended, Index, Operation, Port, Returned, Slots, Verdict, SLOTS};
use usbif::{
    Direction, Kind, PortNumber, Request, Response, Segments, SetupPacket, Status, Submit,
    URB_ENTRY,
};

const PORTS: usize = 31;
const SIZE: u32 = entries(URB_ENTRY);

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

/// An operation that somebody runs.
#[derive(Debug)]
struct Running {
    port: PortNumber,
    serial: u64,
    slot: Option<Index>,
}

/// Everything of one vusb.
pub struct World {
    /// The guest's view of the ring.
    page: Page,
    req_prod: u32,
    rsp_cons: u32,
    ring: BackRing<Page, URB_ENTRY>,
    slots: Slots<Flight>,
    submits: [Option<Submit>; SLOTS],
    ports: Vec<Port<u64>>,
    /// What is plugged in, by its serial; the worker may not have looked yet.
    attached: [Option<u64>; PORTS],
    serial: u64,
    flying: Vec<Index>,
    running: Vec<Running>,
    returned: Returned<Index, ()>,
    /// Requests that were written, by id, and not answered.
    asked: HashMap<u16, u32>,
}

fn port(number: usize) -> PortNumber {
    PortNumber::new(number as u8 + 1).unwrap()
}

/// A request as a guest makes one.
pub fn request(choices: &mut Choices<'_>) -> arbitrary::Result<[u8; URB_ENTRY]> {
    let id = choices.int_in_range(0..=23)?;
    let port = PortNumber::new(choices.int_in_range(1..=3)?).unwrap();
    let device = choices.int_in_range(0..=3)?;
    let submit = |kind, endpoint| {
        Request::Submit(Submit {
            id,
            port,
            device,
            endpoint,
            direction: match &kind {
                Kind::Control(setup) => SetupPacket::direction(setup),
                _ => Direction::Out,
            },
            short_not_ok: false,
            kind,
            data: Segments::EMPTY,
        })
        .encode()
    };
    let control = |setup| submit(Kind::Control(SetupPacket(setup)), 0);
    Ok(match choices.int_in_range(0..=9)? {
        // SET_ADDRESS.
        0 | 1 => control([0, 5, choices.int_in_range(0..=3)?, 0, 0, 0, 0, 0]),
        // GET_STATUS, SET_CONFIGURATION.
        2 => control([0x80, 0, 0, 0, 0, 0, 0, 0]),
        3 => control([0, 9, choices.int_in_range(0..=1)?, 0, 0, 0, 0, 0]),
        4 => {
            let mut setup: [u8; 8] = choices.arbitrary()?;
            setup[6..].fill(0);
            control(setup)
        }
        5 | 6 => submit(Kind::Bulk, 1),
        7 | 8 => Request::Unlink {
            id,
            target: choices.int_in_range(0..=23)?,
            port: port.get(),
            device,
        }
        .encode(),
        _ => {
            let mut entry = [0; URB_ENTRY];
            let bytes = choices.bytes(24.min(choices.len()))?;
            entry[..bytes.len()].copy_from_slice(bytes);
            entry
        }
    })
}

impl World {
    /// A vusb whose ring is at `start`.
    pub fn new(start: u32) -> Self {
        let page = Page::starting_at(start);
        Self {
            ring: BackRing::attach(page.clone()).unwrap(),
            page,
            req_prod: start,
            rsp_cons: start,
            slots: Slots::default(),
            submits: [None; SLOTS],
            ports: (0..PORTS).map(|_| Port::Empty).collect(),
            attached: [None; PORTS],
            serial: 0,
            flying: vec![],
            running: vec![],
            returned: Returned::nothing(),
            asked: HashMap::new(),
        }
    }

    /// The guest writes a request, if the ring has room for it.
    pub fn ask(&mut self, entry: &[u8; URB_ENTRY]) {
        if self.req_prod.wrapping_sub(self.rsp_cons) >= SIZE {
            return;
        }
        let at = 64 + (self.req_prod % SIZE) as usize * URB_ENTRY;
        self.page.write(at, entry);
        self.req_prod = self.req_prod.wrapping_add(1);
        self.page.store(0, self.req_prod);
        let id = u16::from_le_bytes([entry[0], entry[1]]);
        *self.asked.entry(id).or_default() += 1;
    }

    /// The guest takes the responses that are there.
    pub fn take_responses(&mut self) {
        let produced = self.page.load(8);
        while self.rsp_cons != produced {
            let at = 64 + (self.rsp_cons % SIZE) as usize * URB_ENTRY;
            let mut entry = [0; URB_ENTRY];
            self.page.read(at, &mut entry);
            self.rsp_cons = self.rsp_cons.wrapping_add(1);
            let response = Response::parse(&entry).unwrap();
            let left = self.asked.get_mut(&response.id).expect("never asked");
            *left = left.checked_sub(1).expect("answered twice");
        }
    }

    /// A device comes to a port, another one goes.
    pub fn plug(&mut self, number: usize, comes: bool) {
        self.serial += 1;
        // Its URBs are taken back before it is forgotten.
        self.attached[number] = comes.then_some(self.serial);
        for slot in std::mem::take(&mut self.flying) {
            if self.slots.get(slot).unwrap().port == port(number) {
                self.land(slot);
            } else {
                self.flying.push(slot);
            }
        }
    }

    fn land(&mut self, slot: Index) {
        assert!(self.returned.urb(slot, slot).is_none(), "two URBs");
    }

    /// A URB comes back.
    pub fn landed(&mut self, which: usize) {
        if !self.flying.is_empty() {
            let slot = self.flying.swap_remove(which % self.flying.len());
            self.land(slot);
        }
    }

    /// An operation ends.
    pub fn ended(&mut self, which: usize) {
        if self.running.is_empty() {
            return;
        }
        let Running { port, serial, slot } = self.running.swap_remove(which % self.running.len());
        let ended = Ended {
            device: (),
            serial,
            slot,
            status: Status::Ok,
        };
        let nobody = self.returned.operation(port, ended);
        assert!(nobody.is_none_or(|ended| ended.slot.is_none()), "lost");
    }

    /// A turn of the data worker, which takes at most `budget` requests.
    pub fn turn(&mut self, budget: usize) {
        self.look_at_ports();
        let (urbs, operations) = self.returned.take().split();
        let (urbs, operations): (Vec<_>, Vec<_>) = (urbs.collect(), operations.collect());
        for slot in urbs {
            let flight = self.end(slot, Status::Ok);
            assert_eq!(flight.stage, Stage::Flying);
            self.go_on(flight.port);
        }
        for ended in operations {
            self.finish(ended);
        }
        for _ in 0..budget {
            let Some(entry) = self.ring.pop().unwrap() else {
                break;
            };
            self.request(&entry);
        }
        let _ = self.ring.publish();
        // Every request taken and not answered is in one slot.
        assert_eq!(self.ring.unanswered() as usize, self.slots.used().count());
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
        for number in 0..PORTS {
            let now = self.attached[number];
            if self.ports[number].device().copied() == now {
                continue;
            }
            let lost: Vec<_> = self.ports[number].detach().collect();
            if let Some(serial) = now {
                self.ports[number] = Port::attach(serial, serial % 2 == 0);
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

    fn go_on(&mut self, port: PortNumber) {
        loop {
            let flies = self.slots.used().any(|slot| {
                let flight = self.slots.get(slot).unwrap();
                let submit = self.submits[slot.get()].as_ref().unwrap();
                flight.port == port
                    && flight.stage == Stage::Flying
                    && submit.default_control().is_some()
            });
            match self.ports[port.index()].next(flies) {
                Some(verdict) => self.follow(port, verdict),
                None => return,
            }
        }
    }

    fn follow(&mut self, port: PortNumber, verdict: Verdict) {
        match verdict {
            Verdict::Answer(slot, status) => {
                assert_eq!(self.end(slot, status).stage, Stage::Waiting);
            }
            Verdict::Submit(slot) => {
                let flight = self.slots.get_mut(slot).unwrap();
                assert_eq!(flight.stage, Stage::Waiting);
                assert_eq!(flight.port, port);
                // The device may be gone, and the worker not know yet.
                if self.attached[port.index()] == self.ports[port.index()].device().copied() {
                    flight.stage = Stage::Flying;
                    self.flying.push(slot);
                } else {
                    self.end(slot, Status::Shutdown);
                }
            }
            Verdict::Run(slot, operation) => {
                assert!(slot.is_some() != (operation == Operation::Reset));
                if let Some(slot) = slot {
                    let flight = self.slots.get_mut(slot).unwrap();
                    assert_eq!(flight.stage, Stage::Waiting);
                    flight.stage = Stage::Operation;
                }
                let serial = *self.ports[port.index()].device().unwrap();
                assert!(
                    self.running.iter().all(|other| other.serial != serial),
                    "two operations at a time on one device"
                );
                self.running.push(Running { port, serial, slot });
            }
        }
    }

    fn finish(&mut self, ended: Ended<()>) {
        let port = match ended.slot {
            Some(slot) => {
                let flight = self.end(slot, ended.status);
                assert_eq!(flight.stage, Stage::Operation);
                flight.port
            }
            None => {
                let on = |port: &Port<u64>| port.device() == Some(&ended.serial);
                match self.ports.iter().position(on) {
                    Some(number) => port(number),
                    None => return,
                }
            }
        };
        if self.ports[port.index()].device() == Some(&ended.serial) {
            self.ports[port.index()].done();
            self.go_on(port);
        }
    }

    fn unlink(&mut self, target: u16) {
        let Some(slot) = self.slots.find(target) else {
            return;
        };
        let flight = self.slots.get(slot).unwrap();
        match flight.stage {
            Stage::Flying => {
                if let Some(at) = self.flying.iter().position(|other| *other == slot) {
                    self.flying.swap_remove(at);
                    self.land(slot);
                }
            }
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

    /// Everything comes back: then nothing is left, and all is answered.
    pub fn ends_well(&mut self) {
        for _ in 0..100 {
            let idle = self.flying.is_empty() && self.running.is_empty();
            if idle && self.slots.used().count() == 0 && self.rsp_cons == self.req_prod {
                break;
            }
            while !self.flying.is_empty() {
                self.landed(0);
            }
            while !self.running.is_empty() {
                self.ended(0);
            }
            self.turn(32);
            self.take_responses();
        }
        assert!(self.flying.is_empty() && self.running.is_empty());
        assert_eq!(self.slots.used().count(), 0, "a slot has leaked");
        assert_eq!(self.ring.unanswered(), 0);
        assert!(self.asked.values().all(|&left| left == 0), "no answer");
    }
}

/// Choices, then the end.
pub fn any(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut world = World::new(choices.arbitrary().unwrap_or(0));
    for _ in 0..400 {
        if choices.is_empty() {
            break;
        }
        let Ok(step) = choices.arbitrary::<u8>() else {
            break;
        };
        let which = usize::from(step >> 4);
        match step & 0x0f {
            0..=5 => {
                if let Ok(entry) = request(&mut choices) {
                    world.ask(&entry);
                }
            }
            6..=8 => world.turn(1 + which),
            9 => world.take_responses(),
            10 | 11 => world.landed(which),
            12 | 13 => world.ended(which),
            _ => world.plug(which % 3, step & 1 == 0),
        }
    }
    world.ends_well();
}
