// SPDX-License-Identifier: GPL-2.0

//! A guest's port: every request is accounted for exactly once, in order.

use crate::checks::request::*;
use proptest::prelude::*;
use std::collections::{HashSet, VecDeque};
use usbback_core::*;
use usbif::*;

#[derive(Clone, Debug)]
enum Event {
    Request(u8, [u8; 8]),
    Bulk(u8),
    Suspend,
    Wake,
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
        2 => Just(Event::Suspend),
        1 => Just(Event::Wake),
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
    /// Those of them that are not for endpoint 0.
    data: HashSet<usize>,
    /// Control requests at the device.
    flying: Vec<Index>,
    /// The operation that runs, with its request.
    running: Option<(Option<Index>, Operation)>,
    /// The device is suspended; while an operation runs, from its end on.
    asleep: bool,
    /// The guest believes so.
    believed: bool,
    free: HashSet<usize>,
}

impl World {
    fn new(used: bool) -> Self {
        Self {
            port: Port::attach((), used),
            waiting: VecDeque::new(),
            data: HashSet::new(),
            flying: Vec::new(),
            running: None,
            asleep: false,
            believed: false,
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
                    assert!(!self.asleep, "to a sleeper");
                    if self.data.remove(&s.get()) {
                        self.give(s);
                    } else {
                        self.flying.push(s);
                    }
                }
                Verdict::Answer(s, _) => {
                    assert_eq!(self.waiting.pop_front(), Some(s));
                    assert!(self.flying.is_empty(), "overtakes");
                    self.give(s);
                }
                Verdict::Run(None, operation) => {
                    assert!(matches!(operation, Operation::Reset | Operation::Resume));
                    assert!(operation == Operation::Reset || self.believed);
                    self.asleep = false;
                    self.believed = false;
                    self.running = Some((None, operation));
                }
                Verdict::Run(Some(s), operation) => {
                    assert_eq!(self.waiting.pop_front(), Some(s));
                    assert!(self.flying.is_empty(), "overtakes");
                    self.asleep = false;
                    self.believed = false;
                    self.running = Some((Some(s), operation));
                }
            }
        }
        let stuck = self.running.is_none() && self.flying.is_empty();
        assert!(!stuck || self.waiting.is_empty(), "waits for nothing");
    }

    fn request(&mut self, slot: Index, submit: &Submit) {
        let changing =
            |(_, operation): (_, Operation)| operation.changes(submit.endpoint, submit.direction);
        match self.port.request(slot, submit) {
            None => {
                self.waiting.push_back(slot);
                if submit.default_control().is_none() {
                    self.data.insert(slot.get());
                }
            }
            Some(Verdict::Submit(s)) => {
                assert!(!self.asleep && s == slot);
                assert!(!self.running.is_some_and(changing), "to what changes");
                assert!(self.data.is_empty(), "overtakes");
                self.give(slot);
            }
            Some(Verdict::Answer(s, _)) => {
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
                Event::Suspend => {
                    let Some(s) = world.take() else { continue };
                    let outstanding = world.free.len() + 1 < SLOTS;
                    match world.port.suspend(s, outstanding) {
                        Verdict::Answer(other, status) => {
                            prop_assert_eq!(other, s);
                            prop_assert!(status == Status::Stall || (status == Status::Ok && world.believed));
                            world.give(s);
                        }
                        Verdict::Run(other, operation) => {
                            prop_assert_eq!(other, Some(s));
                            prop_assert!(matches!(operation, Operation::Suspend { .. }), "not {:?}", operation);
                            prop_assert!(!outstanding && world.running.is_none());
                            world.running = Some((Some(s), operation));
                            world.asleep = true;
                            world.believed = true;
                        }
                        Verdict::Submit(_) => panic!("it is no transfer"),
                    }
                }
                // By itself, or because the suspension has failed. Whoever sleeps is
                // told of once, but not before an operation has ended.
                Event::Wake => {
                    world.asleep = false;
                    if world.running.is_none() {
                        prop_assert_eq!(world.port.woke(), std::mem::take(&mut world.believed));
                    }
                    prop_assert!(!world.port.woke());
                }
                Event::Landed(at) => {
                    if world.flying.is_empty() { continue }
                    let s = world.flying.swap_remove(at.index(world.flying.len()));
                    world.give(s);
                    world.go_on();
                }
                Event::Done => {
                    let Some((ended, _)) = world.running.take() else { continue };
                    if let Some(s) = ended {
                        world.give(s);
                    }
                    let told = world.port.done(!world.asleep);
                    prop_assert_eq!(told, world.believed && !world.asleep);
                    world.believed &= world.asleep;
                    world.go_on();
                }
                Event::Withdraw(at) => {
                    let s = slot(at.index(SLOTS));
                    let was = world.waiting.contains(&s);
                    prop_assert_eq!(world.port.withdraw(s), was);
                    if was {
                        world.waiting.retain(|other| *other != s);
                        world.data.remove(&s.get());
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
