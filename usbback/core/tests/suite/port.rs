// SPDX-License-Identifier: GPL-2.0

//! A guest's port: addresses, resets, order, and that every request is
//! accounted for exactly once.

use proptest::prelude::*;
use std::collections::{HashSet, VecDeque};
use usbback_core::*;
use usbif::*;

fn submit(device: u8, endpoint: u8, kind: Kind) -> Submit {
    Submit {
        id: 0,
        port: PortNumber::new(1).unwrap(),
        device,
        endpoint,
        direction: Direction::Out,
        short_not_ok: false,
        kind,
        data: Segments::EMPTY,
    }
}

fn control(device: u8, setup: [u8; 8]) -> Submit {
    submit(device, 0, Kind::Control(SetupPacket(setup)))
}

const GET_DESCRIPTOR: [u8; 8] = [0x80, 6, 0, 1, 0, 0, 0, 0];
const SET_CONFIGURATION: [u8; 8] = [0, 9, 1, 0, 0, 0, 0, 0];

fn set_address(address: u8) -> [u8; 8] {
    [0, 5, address, 0, 0, 0, 0, 0]
}

fn slot(number: usize) -> Index {
    Index::new(number).unwrap()
}

/// A request that nothing is in the way of.
fn ask(port: &mut Port<()>, slot: Index, submit: &Submit) -> Option<Verdict> {
    port.request(slot, submit).or_else(|| port.next(false))
}

#[test]
fn enumeration_resets_once_there_was_an_address() {
    let mut port = Port::attach((), false);
    let s = slot(0);
    assert_eq!(
        ask(&mut port, s, &control(0, GET_DESCRIPTOR)),
        Some(Verdict::Submit(s))
    );
    assert_eq!(
        ask(&mut port, s, &control(0, set_address(5))),
        Some(Verdict::Answer(s, Status::Ok))
    );
    assert_eq!(
        ask(&mut port, s, &control(5, GET_DESCRIPTOR)),
        Some(Verdict::Submit(s))
    );
    assert_eq!(
        ask(&mut port, s, &submit(5, 1, Kind::Bulk)),
        Some(Verdict::Submit(s))
    );
    assert_eq!(
        ask(&mut port, s, &submit(4, 1, Kind::Bulk)),
        Some(Verdict::Answer(s, Status::NoDevice))
    );
    assert_eq!(
        ask(&mut port, s, &control(0, GET_DESCRIPTOR)),
        Some(Verdict::Run(None, Operation::Reset))
    );
    port.done();
    assert_eq!(port.next(false), Some(Verdict::Submit(s)));
    assert_eq!(port.next(false), None);
    // The reset took the address away.
    assert_eq!(
        ask(&mut port, s, &submit(5, 1, Kind::Bulk)),
        Some(Verdict::Answer(s, Status::NoDevice))
    );
    assert_eq!(
        ask(&mut port, s, &control(0, GET_DESCRIPTOR)),
        Some(Verdict::Submit(s))
    );
}

#[test]
fn a_used_device_is_reset_first() {
    let mut port = Port::attach((), true);
    assert_eq!(
        ask(&mut port, slot(3), &control(0, set_address(1))),
        Some(Verdict::Run(None, Operation::Reset))
    );
    port.done();
    assert_eq!(port.next(false), Some(Verdict::Answer(slot(3), Status::Ok)));
}

#[test]
fn what_flies_comes_back_before_later_answers() {
    let mut port = Port::attach((), false);
    ask(&mut port, slot(0), &control(0, set_address(1)));
    let flying = ask(&mut port, slot(0), &control(1, GET_DESCRIPTOR));
    assert_eq!(flying, Some(Verdict::Submit(slot(0))));
    // An operation may fail at once, so it waits, and all behind it.
    assert_eq!(port.request(slot(1), &control(1, SET_CONFIGURATION)), None);
    assert_eq!(port.next(true), None);
    assert_eq!(port.request(slot(2), &control(1, GET_DESCRIPTOR)), None);
    assert_eq!(port.next(true), None);
    assert_eq!(
        port.next(false),
        Some(Verdict::Run(Some(slot(1)), Operation::SetConfiguration(1)))
    );
    assert_eq!(port.next(false), None);
    port.done();
    assert_eq!(port.next(false), Some(Verdict::Submit(slot(2))));
}

#[test]
fn a_reset_does_not_wait_for_what_flies() {
    let mut port = Port::attach((), false);
    ask(&mut port, slot(0), &control(0, set_address(1)));
    ask(&mut port, slot(0), &control(1, GET_DESCRIPTOR));
    assert_eq!(port.request(slot(1), &control(0, GET_DESCRIPTOR)), None);
    assert_eq!(port.next(true), Some(Verdict::Run(None, Operation::Reset)));
}

#[test]
fn only_the_standard_request_is_an_address() {
    // FTDI's GET_MODEM_STATUS, and a class request with the same number.
    for request_type in [0xc0, 0x40, 0x20, 0x01, 0x02, 0x80, 0x03] {
        let setup = SetupPacket([request_type, 5, 7, 0, 0, 0, 0, 0]);
        assert_eq!(Meaning::of(&setup), Meaning::Device, "{request_type:#x}");
    }
    for setup in [
        [0, 5, 128, 0, 0, 0, 0, 0],
        [0, 5, 1, 1, 0, 0, 0, 0],
        [0, 5, 1, 0, 0, 0, 1, 0],
    ] {
        assert_eq!(
            Meaning::of(&SetupPacket(setup)),
            Meaning::Answer(Status::Stall)
        );
    }
    let halt = |index: u8| Meaning::of(&SetupPacket([2, 1, 0, 0, index, 0, 0, 0]));
    assert_eq!(halt(0x80), Meaning::Device);
    assert_eq!(
        halt(0x83),
        Meaning::Core(Operation::ClearHalt {
            endpoint: 3,
            direction: Direction::In
        })
    );
    assert_eq!(halt(0x13), Meaning::Answer(Status::Stall));
}

#[test]
fn an_empty_port_has_no_device() {
    let mut port: Port<()> = Port::Empty;
    assert_eq!(
        ask(&mut port, slot(0), &control(0, GET_DESCRIPTOR)),
        Some(Verdict::Answer(slot(0), Status::NoDevice))
    );
}

#[derive(Clone, Debug)]
enum Event {
    Request(u8, [u8; 8]),
    Bulk(u8),
    Landed(prop::sample::Index),
    Done,
    Withdraw(prop::sample::Index),
    Detach,
}

fn event() -> impl Strategy<Value = Event> {
    let setup = prop_oneof![
        Just(GET_DESCRIPTOR),
        Just(SET_CONFIGURATION),
        (0u8..4).prop_map(set_address),
        any::<[u8; 8]>(),
    ];
    prop_oneof![
        8 => (0u8..4, setup).prop_map(|(device, setup)| Event::Request(device, setup)),
        2 => (0u8..4).prop_map(Event::Bulk),
        4 => Just(Event::Done),
        4 => any::<prop::sample::Index>().prop_map(Event::Landed),
        1 => any::<prop::sample::Index>().prop_map(Event::Withdraw),
        1 => Just(Event::Detach),
    ]
}

/// Follows what the port says; every slot comes out once for each time in, and
/// those of endpoint 0 in order.
struct World {
    port: Port<()>,
    /// In the port's queue, in order.
    waiting: VecDeque<Index>,
    /// Control requests at the device.
    flying: Vec<Index>,
    /// The operation that runs, with its request.
    running: Option<Option<Index>>,
    free: HashSet<usize>,
}

impl World {
    fn new(used: bool) -> Self {
        Self {
            port: Port::attach((), used),
            waiting: VecDeque::new(),
            flying: Vec::new(),
            running: None,
            free: (0..SLOTS).collect(),
        }
    }

    fn take(&mut self) -> Option<Index> {
        let number = *self.free.iter().min()?;
        self.free.remove(&number);
        Some(slot(number))
    }

    fn give(&mut self, slot: Index) {
        assert!(self.free.insert(slot.get()), "twice");
    }

    /// Takes out of the queue what comes out.
    fn go_on(&mut self) {
        while let Some(verdict) = self.port.next(!self.flying.is_empty()) {
            assert!(self.running.is_none(), "meanwhile");
            match verdict {
                Verdict::Submit(s) => {
                    assert_eq!(self.waiting.pop_front(), Some(s));
                    self.flying.push(s);
                }
                Verdict::Answer(s, _) => {
                    assert_eq!(self.waiting.pop_front(), Some(s));
                    assert!(self.flying.is_empty(), "overtakes");
                    self.give(s);
                }
                Verdict::Run(None, operation) => {
                    assert_eq!(operation, Operation::Reset);
                    self.running = Some(None);
                }
                Verdict::Run(Some(s), _) => {
                    assert_eq!(self.waiting.pop_front(), Some(s));
                    assert!(self.flying.is_empty(), "overtakes");
                    self.running = Some(Some(s));
                }
            }
        }
        let stuck = self.running.is_none() && self.flying.is_empty();
        assert!(!stuck || self.waiting.is_empty(), "waits for nothing");
    }

    fn request(&mut self, slot: Index, submit: &Submit) {
        match self.port.request(slot, submit) {
            None => self.waiting.push_back(slot),
            Some(Verdict::Submit(s) | Verdict::Answer(s, _)) => {
                assert_eq!(s, slot);
                self.give(slot);
            }
            Some(Verdict::Run(..)) => panic!("not in its turn"),
        }
        self.go_on();
    }
}

proptest! {
    #[test]
    fn every_request_comes_out_once(events in prop::collection::vec(event(), 0..200), used: bool) {
        let mut world = World::new(used);
        for event in events {
            match event {
                Event::Request(device, setup) => {
                    let Some(s) = world.take() else { continue };
                    world.request(s, &control(device, setup));
                }
                Event::Bulk(device) => {
                    let Some(s) = world.take() else { continue };
                    world.request(s, &submit(device, 1, Kind::Bulk));
                }
                Event::Landed(at) => {
                    if world.flying.is_empty() { continue }
                    let s = world.flying.swap_remove(at.index(world.flying.len()));
                    world.give(s);
                    world.go_on();
                }
                Event::Done => {
                    let Some(ended) = world.running.take() else { continue };
                    if let Some(s) = ended {
                        world.give(s);
                    }
                    world.port.done();
                    world.go_on();
                }
                Event::Withdraw(at) => {
                    let s = slot(at.index(SLOTS));
                    let was = world.waiting.contains(&s);
                    prop_assert_eq!(world.port.withdraw(s), was);
                    if was {
                        world.waiting.retain(|other| *other != s);
                        world.give(s);
                        world.go_on();
                    }
                }
                Event::Detach => {
                    let out: Vec<_> = world.port.detach().collect();
                    prop_assert_eq!(out, Vec::from(world.waiting.clone()));
                    world = World::new(true);
                }
            }
        }
    }
}
