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

#[test]
fn enumeration_resets_once_there_was_an_address() {
    let mut port = Port::attach((), false);
    let s = slot(0);
    assert_eq!(
        port.request(s, &control(0, GET_DESCRIPTOR)),
        Some(Verdict::Submit(s))
    );
    assert_eq!(
        port.request(s, &control(0, set_address(5))),
        Some(Verdict::Answer(s, Status::Ok))
    );
    assert_eq!(
        port.request(s, &control(5, GET_DESCRIPTOR)),
        Some(Verdict::Submit(s))
    );
    assert_eq!(
        port.request(s, &submit(5, 1, Kind::Bulk)),
        Some(Verdict::Submit(s))
    );
    assert_eq!(
        port.request(s, &submit(4, 1, Kind::Bulk)),
        Some(Verdict::Answer(s, Status::NoDevice))
    );
    assert_eq!(
        port.request(s, &control(0, GET_DESCRIPTOR)),
        Some(Verdict::Run(None, Operation::Reset))
    );
    assert_eq!(port.done(), Some(Verdict::Submit(s)));
    assert_eq!(port.done(), None);
    // The reset took the address away.
    assert_eq!(
        port.request(s, &submit(5, 1, Kind::Bulk)),
        Some(Verdict::Answer(s, Status::NoDevice))
    );
    assert_eq!(
        port.request(s, &control(0, GET_DESCRIPTOR)),
        Some(Verdict::Submit(s))
    );
}

#[test]
fn a_used_device_is_reset_first() {
    let mut port = Port::attach((), true);
    assert_eq!(
        port.request(slot(3), &control(0, set_address(1))),
        Some(Verdict::Run(None, Operation::Reset))
    );
    assert_eq!(port.done(), Some(Verdict::Answer(slot(3), Status::Ok)));
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
        port.request(slot(0), &control(0, GET_DESCRIPTOR)),
        Some(Verdict::Answer(slot(0), Status::NoDevice))
    );
}

#[derive(Clone, Debug)]
enum Event {
    Request(u8, [u8; 8]),
    Bulk(u8),
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
        1 => any::<prop::sample::Index>().prop_map(Event::Withdraw),
        1 => Just(Event::Detach),
    ]
}

/// Follows what the port says; every slot comes out once for each time in.
#[derive(Default)]
struct World {
    /// In the port's queue, in order.
    waiting: VecDeque<Index>,
    /// The operation that runs, with its request.
    running: Option<Option<Index>>,
    free: HashSet<usize>,
}

impl World {
    fn follow(&mut self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Submit(s) | Verdict::Answer(s, _) => {
                assert!(self.free.insert(s.get()), "twice");
                true
            }
            Verdict::Run(s, _) => {
                assert!(self.running.is_none(), "two at a time");
                self.running = Some(s);
                false
            }
        }
    }
}

proptest! {
    #[test]
    fn every_request_comes_out_once(events in prop::collection::vec(event(), 0..200), used: bool) {
        let mut port = Port::attach((), used);
        let mut world = World { free: (0..SLOTS).collect(), ..World::default() };
        for event in events {
            match event {
                Event::Request(..) | Event::Bulk(_) => {
                    let Some(&number) = world.free.iter().min() else { continue };
                    world.free.remove(&number);
                    let s = slot(number);
                    let submit = match event {
                        Event::Request(device, setup) => control(device, setup),
                        Event::Bulk(device) => submit(device, 1, Kind::Bulk),
                        _ => unreachable!(),
                    };
                    match port.request(s, &submit) {
                        None => {
                            prop_assert!(world.running.is_some(), "waits for nothing");
                            world.waiting.push_back(s);
                        }
                        Some(Verdict::Run(None, operation)) => {
                            prop_assert_eq!(operation, Operation::Reset);
                            world.follow(Verdict::Run(None, operation));
                            world.waiting.push_front(s);
                        }
                        Some(verdict) => { world.follow(verdict); }
                    }
                }
                Event::Done => {
                    let Some(ended) = world.running.take() else { continue };
                    if let Some(s) = ended {
                        world.free.insert(s.get());
                    }
                    while let Some(verdict) = port.done() {
                        match verdict {
                            Verdict::Run(None, _) => {}
                            Verdict::Submit(s) | Verdict::Answer(s, _) | Verdict::Run(Some(s), _) => {
                                prop_assert_eq!(world.waiting.pop_front(), Some(s));
                            }
                        }
                        if !world.follow(verdict) { break }
                    }
                    prop_assert!(world.running.is_some() || world.waiting.is_empty());
                }
                Event::Withdraw(at) => {
                    let s = slot(at.index(SLOTS));
                    let was = world.waiting.contains(&s);
                    prop_assert_eq!(port.withdraw(s), was);
                    if was {
                        world.waiting.retain(|other| *other != s);
                        world.free.insert(s.get());
                    }
                }
                Event::Detach => {
                    let out: Vec<_> = port.detach().collect();
                    prop_assert_eq!(out, Vec::from(world.waiting.clone()));
                    world = World { free: (0..SLOTS).collect(), ..World::default() };
                    port = Port::attach((), true);
                }
            }
        }
    }
}
