// SPDX-License-Identifier: GPL-2.0

//! A vusb of the backend. The guest says what it likes, devices come and go, URBs
//! and operations end in any order, and the data worker looks when it gets to it.
//! Every request that it has taken is answered exactly once.

use crate::{
    engine::{Engine, Host, Running, LIST},
    page::{place, Page, REQ_PROD, RSP_PROD},
    Choices,
};
use ring::{entries, SharedPage};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet, VecDeque},
    rc::Rc,
};
use usbback_core::{Back, Index, Operation, Returned};
use usbif::{
    Direction, Indirect, Kind, PortNumber, Request, Response, Segment, Segments, SetupPacket,
    Status, Submit, MAX_INDIRECT, URB_ENTRY,
};

const PORTS: usize = 31;
const SIZE: u32 = entries(URB_ENTRY);
/// Of a list.
const SEGMENT: Segment = Segment {
    gref: 1,
    offset: 0,
    length: 64,
};

struct State {
    /// What is plugged in, by its serial; the worker may not have looked yet.
    attached: [Option<u64>; PORTS],
    serial: u64,
    flying: Vec<(Index, u64)>,
    running: Vec<Running>,
    /// Devices that are suspended.
    asleep: HashSet<u64>,
    /// Slots whose URBs have come back, in order.
    landed: VecDeque<Index>,
    returned: Returned<Index, ()>,
}

#[derive(Clone)]
struct Usb(Rc<RefCell<State>>);

impl State {
    fn land(&mut self, slot: Index) {
        assert!(self.returned.urb(slot).is_none(), "more URBs than slots");
        self.landed.push_back(slot);
    }

    fn take_back(&mut self, which: impl Fn(Index, u64) -> bool) {
        for (slot, serial) in std::mem::take(&mut self.flying) {
            if which(slot, serial) {
                self.land(slot);
            } else {
                self.flying.push((slot, serial));
            }
        }
    }
}

impl Host for Usb {
    fn attached(&self, port: PortNumber) -> Option<u64> {
        self.0.borrow().attached[port.index()]
    }

    fn submit(&self, slot: Index, port: PortNumber, serial: u64) -> bool {
        let mut state = self.0.borrow_mut();
        let there = state.attached[port.index()] == Some(serial);
        assert!(!state.asleep.contains(&serial), "a request to a sleeper");
        // Which endpoint it is for is not known here.
        let changes = |other: &Running| {
            let one = matches!(other.operation, Operation::ClearHalt { .. });
            other.serial == serial && !one && other.operation.changes(1, Direction::Out)
        };
        assert!(
            !state.running.iter().any(changes),
            "a request to endpoints that change"
        );
        if there {
            assert!(state.flying.iter().all(|(other, _)| *other != slot));
            state.flying.push((slot, serial));
        }
        there
    }

    fn unlink(&self, slot: Index) {
        self.0.borrow_mut().take_back(|other, _| other == slot);
    }

    fn run(&self, running: Running) {
        let mut state = self.0.borrow_mut();
        assert!(
            state
                .running
                .iter()
                .all(|other| other.serial != running.serial),
            "two operations at a time on one device"
        );
        state.running.push(running);
    }

    fn is_awake(&self, serial: u64) -> bool {
        !self.0.borrow().asleep.contains(&serial)
    }

    fn back(&self) -> Option<Back<Index, ()>> {
        let mut state = self.0.borrow_mut();
        let back = state.returned.pop();
        if let Some(Back::Urb(slot)) = back {
            assert_eq!(state.landed.pop_front(), Some(slot), "out of order");
        }
        back
    }
}

/// Everything of one vusb.
pub struct World {
    /// The guest's view of the ring.
    page: Page,
    req_prod: u32,
    rsp_cons: u32,
    engine: Engine<Page, Usb>,
    usb: Usb,
    /// Requests that were written, by id, and not answered.
    asked: HashMap<u16, u32>,
}

/// The entry of a transfer, and its list where the engine's double looks for it.
fn with_list(submit: &Submit) -> [u8; URB_ENTRY] {
    let mut list = [0; Indirect::LIST];
    submit.write_list(&mut list);
    let mut entry = submit.entry_with_list(SEGMENT);
    for (at, byte) in entry[LIST..].iter_mut().enumerate() {
        *byte = list[at % 8];
    }
    entry
}

/// A request as a guest makes one.
pub fn request(choices: &mut Choices<'_>) -> arbitrary::Result<[u8; URB_ENTRY]> {
    let id = choices.int_in_range(0..=23)?;
    let port = PortNumber::new(choices.int_in_range(1..=2)?).unwrap();
    let device = choices.int_in_range(0..=2)?;
    let submit = |kind, endpoint, data| Submit {
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
        data,
    };
    let control = |setup| submit(Kind::Control(SetupPacket(setup)), 0, Segments::EMPTY).entry();
    Ok(match choices.int_in_range(0..=11)? {
        10 => Request::Suspend { id, port }.encode(),
        // SET_FEATURE and CLEAR_FEATURE of the remote wakeup.
        11 => control([0, choices.int_in_range(1..=3)?, 1, 0, 0, 0, 0, 0]),
        // SET_ADDRESS.
        0 | 1 => control([0, 5, choices.int_in_range(0..=2)?, 0, 0, 0, 0, 0]),
        // GET_STATUS, SET_CONFIGURATION.
        2 => control([0x80, 0, 0, 0, 0, 0, 0, 0]),
        3 => control([0, 9, choices.int_in_range(0..=1)?, 0, 0, 0, 0, 0]),
        4 => {
            let mut setup: [u8; 8] = choices.arbitrary()?;
            setup[6..].fill(0);
            control(setup)
        }
        5 => submit(Kind::Bulk, 1, Segments::EMPTY).entry(),
        6 => {
            let mut data = Segments::EMPTY;
            for _ in 0..choices.int_in_range(1..=MAX_INDIRECT)? {
                data.push(SEGMENT).unwrap();
            }
            with_list(&submit(Kind::Bulk, 1, data))
        }
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
        let usb = Usb(Rc::new(RefCell::new(State {
            attached: [None; PORTS],
            serial: 0,
            flying: vec![],
            running: vec![],
            asleep: HashSet::new(),
            landed: VecDeque::new(),
            returned: Returned::nothing(),
        })));
        Self {
            engine: Engine::new(page.clone(), usb.clone()),
            page,
            req_prod: start,
            rsp_cons: start,
            usb,
            asked: HashMap::new(),
        }
    }

    /// The guest writes a request, if the ring has room for it.
    pub fn ask(&mut self, entry: &[u8; URB_ENTRY]) {
        if self.req_prod.wrapping_sub(self.rsp_cons) >= SIZE {
            return;
        }
        self.page.write(place(self.req_prod, URB_ENTRY), entry);
        self.req_prod = self.req_prod.wrapping_add(1);
        self.page.store(REQ_PROD, self.req_prod);
        let id = u16::from_le_bytes([entry[0], entry[1]]);
        *self.asked.entry(id).or_default() += 1;
    }

    /// The guest takes the responses that are there.
    pub fn take_responses(&mut self) {
        let produced = self.page.load(RSP_PROD);
        while self.rsp_cons != produced {
            let mut entry = [0; URB_ENTRY];
            self.page.read(place(self.rsp_cons, URB_ENTRY), &mut entry);
            self.rsp_cons = self.rsp_cons.wrapping_add(1);
            let response = Response::parse(&entry).unwrap();
            let left = self.asked.get_mut(&response.id).expect("never asked");
            *left = left.checked_sub(1).expect("answered twice");
        }
    }

    /// A device comes to a port, another one goes. Its URBs are taken back.
    pub fn plug(&mut self, number: usize, comes: bool) {
        let mut state = self.usb.0.borrow_mut();
        state.serial += 1;
        let new = comes.then_some(state.serial);
        let old = std::mem::replace(&mut state.attached[number], new);
        state.take_back(|_, serial| Some(serial) == old);
    }

    /// A URB comes back.
    pub fn landed(&mut self, which: usize) {
        let mut state = self.usb.0.borrow_mut();
        let flying = state.flying.len();
        if flying > 0 {
            let (slot, _) = state.flying.swap_remove(which % flying);
            state.land(slot);
        }
    }

    /// An operation ends, a suspension perhaps badly.
    pub fn ended(&mut self, which: usize) {
        let mut state = self.usb.0.borrow_mut();
        let running = state.running.len();
        if running > 0 {
            let running = state.running.swap_remove(which % running);
            let mut status = Status::Ok;
            match running.operation {
                Operation::Suspend { .. } if which % 4 == 3 => status = Status::Stall,
                Operation::Suspend { .. } => {
                    let flies = state.flying.iter().any(|(_, on)| *on == running.serial);
                    assert!(!flies, "suspended under its requests");
                    state.asleep.insert(running.serial);
                }
                _ => {
                    state.asleep.remove(&running.serial);
                }
            }
            let ended = running.ended(status);
            let nobody = state.returned.operation(running.port, ended);
            assert!(nobody.is_none_or(|ended| ended.slot.is_none()), "lost");
        }
    }

    /// A device wakes up by itself, or somebody else wakes it. False: it was awake.
    pub fn wakes(&mut self, number: usize) -> bool {
        let mut state = self.usb.0.borrow_mut();
        state.attached[number].is_some_and(|serial| state.asleep.remove(&serial))
    }

    /// A turn of the data worker.
    pub fn turn(&mut self, budget: usize) {
        self.engine.turn(budget);
    }

    fn is_idle(&self) -> bool {
        let state = self.usb.0.borrow();
        state.flying.is_empty() && state.running.is_empty() && self.engine.unanswered() == 0
    }

    /// Everything comes back: then nothing is left, and all is answered.
    pub fn ends_well(&mut self) {
        for _ in 0..100 {
            if self.is_idle() && self.rsp_cons == self.req_prod {
                break;
            }
            for _ in 0..16 {
                self.landed(0);
                self.ended(0);
            }
            self.turn(32);
            self.take_responses();
        }
        assert!(self.is_idle(), "something has leaked");
        assert!(self.asked.values().all(|&left| left == 0), "no answer");
        // Whoever is left asleep wakes its guest, once.
        for number in 0..PORTS {
            let told = self.engine.woken[number] + u32::from(self.wakes(number));
            self.turn(1);
            self.turn(1);
            assert_eq!(self.engine.woken[number], told);
        }
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
            14 if which % 4 == 0 => {
                world.wakes(which / 4 % 2);
            }
            _ => world.plug(which % 2, which < 12),
        }
    }
    world.ends_well();
}
