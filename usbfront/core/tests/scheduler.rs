// SPDX-License-Identifier: GPL-2.0

//! The scheduler against a backend that answers in any order, for any sequence
//! of submissions and unlinks.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use usbfront_core::*;
use usbif::{Direction, Response, Status};

struct Vector<T>(Vec<T>);

impl<T> Table<T> for Vector<T> {
    fn get(&self, index: u32) -> Option<&T> {
        self.0.get(index as usize)
    }
    fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.0.get_mut(index as usize)
    }
    fn push(&mut self, entry: T) -> Result<u32, NoMemory> {
        self.0.push(entry);
        Ok(self.0.len() as u32 - 1)
    }
    fn count(&self) -> u32 {
        self.0.len() as u32
    }
}

type Tested = Scheduler<u32, Vector<Job<u32>>, Vector<Endpoint>>;

fn scheduler() -> Tested {
    Scheduler::new(Vector(vec![]), Vector(vec![]))
}

const MAX_PACKET: u16 = 512;

#[derive(Clone, Debug)]
enum Op {
    Submit {
        endpoint: usize,
        pages: u32,
        odd: u32,
    },
    Cancel(usize),
    /// Answers the request at that place, with that share of its length and
    /// that status.
    Answer {
        which: usize,
        share: u8,
        status: u8,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..6usize, 0..40u32, 0..3u32).prop_map(|(endpoint, pages, odd)| Op::Submit {
            endpoint,
            pages,
            odd
        }),
        1 => any::<usize>().prop_map(Op::Cancel),
        4 => (any::<usize>(), any::<u8>(), any::<u8>()).prop_map(|(which, share, status)| {
            Op::Answer { which, share, status }
        }),
    ]
}

/// What the backend has.
#[derive(Clone, Debug)]
enum Sent {
    Piece {
        job: JobId,
        length: u32,
        number: u32,
    },
    Unlink {
        target: u16,
    },
}

struct World {
    tested: Tested,
    endpoints: Vec<EndpointId>,
    /// Submitted and not finished: number to job, endpoint.
    alive: HashMap<u32, (JobId, usize)>,
    flying: Vec<(u16, Sent)>,
    finished: HashSet<u32>,
    /// Order of first pieces on each endpoint.
    begun: Vec<Vec<u32>>,
    count: u32,
}

impl World {
    fn new() -> Self {
        let mut tested = scheduler();
        let endpoints = (0..6).map(|_| tested.add_endpoint().unwrap()).collect();
        Self {
            tested,
            endpoints,
            alive: HashMap::new(),
            flying: vec![],
            finished: HashSet::new(),
            begun: vec![vec![]; 6],
            count: 0,
        }
    }

    fn finish(&mut self, finished: Option<Finished<u32>>) {
        let Some(finished) = finished else { return };
        assert!(self.alive.remove(&finished.payload).is_some());
        assert!(self.finished.insert(finished.payload), "given back twice");
        let number = finished.payload;
        assert!(
            !self
                .flying
                .iter()
                .any(|(_, s)| matches!(s, Sent::Piece { number: n, .. } if *n == number)),
            "given back while the backend has a part of it"
        );
    }

    fn pump(&mut self) {
        while let Some(work) = self.tested.next_work() {
            match work {
                Work::Unlink { id, target, .. } => {
                    assert!(!self.flying.iter().any(|(other, _)| *other == id));
                    self.flying.push((id, Sent::Unlink { target }));
                }
                Work::Piece(piece) => {
                    let number = *self.tested.payload(piece.job).unwrap();
                    let length = piece.transfer.cut(piece.limit).unwrap();
                    let mine =
                        |s: &Sent| matches!(s, Sent::Piece { number: n, .. } if *n == number);
                    if piece.transfer.direction() == Direction::In {
                        assert!(!self.flying.iter().any(|(_, s)| mine(s)));
                    }
                    if piece.offset == 0 && !self.flying.iter().any(|(_, s)| mine(s)) {
                        let endpoint = self.alive[&number].1;
                        self.begun[endpoint].push(number);
                    }
                    assert!(!self.flying.iter().any(|(other, _)| *other == piece.id));
                    self.tested.sent(&piece, length);
                    let job = piece.job;
                    self.flying.push((
                        piece.id,
                        Sent::Piece {
                            job,
                            length,
                            number,
                        },
                    ));
                    assert!(self.flying.len() < SLOTS, "no slot is left for unlinks");
                }
            }
            assert!(self.flying.len() <= SLOTS);
        }
    }

    fn answer(&mut self, which: usize, share: u8, status: u8) {
        if self.flying.is_empty() {
            return;
        }
        let (id, sent) = self.flying.remove(which % self.flying.len());
        let status = match status {
            0..=200 => Status::Ok,
            201..=220 => Status::Stall,
            221..=240 => Status::IoError,
            _ => Status::Shutdown,
        };
        let mut response = Response::plain(id, status);
        if let Sent::Piece { length, .. } = sent {
            response.actual_length = if share > 100 {
                length
            } else {
                length * u32::from(share) / 101
            };
        }
        match (self.tested.answer(&response).unwrap(), sent) {
            (Answer::Unlinked, Sent::Unlink { target }) => {
                let _ = target;
            }
            (
                Answer::Piece {
                    job,
                    length,
                    actual,
                    ..
                },
                Sent::Piece {
                    job: expected,
                    length: sent,
                    ..
                },
            ) => {
                assert_eq!((job, length), (expected, sent));
                let finished = self.tested.settle(job, length, actual, status.errno());
                self.finish(finished);
            }
            other => panic!("{other:?}"),
        }
        // A second answer is a lie.
        assert_eq!(self.tested.answer(&response), Err(Lie::Id(id)));
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Submit {
                endpoint,
                pages,
                odd,
            } => {
                // Endpoint 0 is control; odd ones are IN.
                let (shape, length) = if endpoint == 0 {
                    (Shape::Control, (pages * 4096 + odd).min(65_535))
                } else {
                    (Shape::Stream, pages * 4096 + odd)
                };
                let direction = if endpoint % 2 == 1 {
                    Direction::In
                } else {
                    Direction::Out
                };
                let transfer = Transfer::new(shape, direction, length, MAX_PACKET)
                    .zero_packet(odd == 0)
                    .short_not_ok(odd == 1);
                let number = self.count;
                self.count += 1;
                let job = self
                    .tested
                    .submit(self.endpoints[endpoint], transfer, number)
                    .unwrap();
                self.alive.insert(number, (job, endpoint));
            }
            Op::Cancel(which) => {
                let mut numbers: Vec<_> = self.alive.keys().copied().collect();
                numbers.sort_unstable();
                if !numbers.is_empty() {
                    let (job, _) = self.alive[&numbers[which % numbers.len()]];
                    let finished = self.tested.cancel(job);
                    self.finish(finished);
                }
            }
            Op::Answer {
                which,
                share,
                status,
            } => self.answer(which, share, status),
        }
        self.pump();
    }
}

proptest! {
    #[test]
    fn every_urb_comes_back_once(ops in prop::collection::vec(op(), 0..400)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        // A backend that answers everything: all must come back.
        for _ in 0..20_000 {
            if world.flying.is_empty() {
                break;
            }
            world.answer(0, 255, 0);
            world.pump();
        }
        prop_assert!(world.flying.is_empty());
        prop_assert!(world.alive.is_empty());
        prop_assert_eq!(world.finished.len() as u32, world.count);
        prop_assert_eq!(world.tested.unlinking(), 0);
        prop_assert!(!world.tested.is_waiting());
        for begun in &world.begun {
            let mut sorted = begun.clone();
            sorted.sort_unstable();
            prop_assert_eq!(begun, &sorted, "an endpoint's order");
        }
        for endpoint in world.endpoints.clone() {
            prop_assert!(world.tested.remove_endpoint(endpoint));
        }
    }

    #[test]
    fn draining_gives_everything_back_once(ops in prop::collection::vec(op(), 0..200)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.flying.clear();
        while let Some(finished) = world.tested.drain() {
            prop_assert_eq!(finished.status, -108);
            world.finish(Some(finished));
        }
        prop_assert!(world.alive.is_empty());
        prop_assert!(world.tested.next_work().is_none());
        prop_assert!(!world.tested.is_waiting());
        for endpoint in world.endpoints.clone() {
            prop_assert!(world.tested.remove_endpoint(endpoint));
        }
    }
}

fn bulk(direction: Direction, length: u32) -> Transfer {
    Transfer::new(Shape::Stream, direction, length, MAX_PACKET)
}

#[test]
fn reads_without_end_leave_room_for_others() {
    let mut tested = scheduler();
    // A modem: sixteen reads that nothing may ever answer.
    let reads = tested.add_endpoint().unwrap();
    for n in 0..16 {
        tested.submit(reads, bulk(Direction::In, 64), n).unwrap();
    }
    // And more keyboards than there is room for.
    for n in 0..14 {
        let keys = tested.add_endpoint().unwrap();
        tested
            .submit(keys, bulk(Direction::In, 8), 100 + n)
            .unwrap();
    }
    let mut flying = 0;
    while let Some(work) = tested.next_work() {
        let Work::Piece(piece) = work else { panic!() };
        tested.sent(&piece, piece.limit);
        flying += 1;
    }
    assert_eq!(flying, 13);
    // Control transfers still go out, one at a time or two.
    let control = tested.add_endpoint().unwrap();
    let setup = Transfer::new(Shape::Control, Direction::In, 18, 64);
    let job = tested.submit(control, setup, 200).unwrap();
    tested.submit(control, setup, 201).unwrap();
    tested.submit(control, setup, 202).unwrap();
    for _ in 0..2 {
        let Some(Work::Piece(piece)) = tested.next_work() else {
            panic!()
        };
        tested.sent(&piece, piece.limit);
    }
    assert!(tested.next_work().is_none());
    // And so does an unlink, with the ring otherwise full.
    assert!(tested.cancel(job).is_none());
    assert!(matches!(tested.next_work(), Some(Work::Unlink { .. })));
    assert!(tested.next_work().is_none());
    assert_eq!(tested.unlinking(), 2);
}

#[test]
fn an_unlink_without_a_slot_goes_out_with_the_next_answer() {
    let mut tested = scheduler();
    let control = tested.add_endpoint().unwrap();
    let mut sent = vec![];
    for n in 0..15 {
        let setup = Transfer::new(Shape::Control, Direction::Out, 0, 64);
        sent.push((tested.submit(control, setup, n).unwrap(), 0));
    }
    for entry in &mut sent {
        let Some(Work::Piece(piece)) = tested.next_work() else {
            panic!()
        };
        assert_eq!(piece.job, entry.0);
        tested.sent(&piece, 0);
        entry.1 = piece.id;
    }
    assert!(tested.cancel(sent[3].0).is_none());
    let Some(Work::Unlink { id, target, .. }) = tested.next_work() else {
        panic!()
    };
    assert_eq!(target, sent[3].1);
    assert!(tested.cancel(sent[4].0).is_none());
    assert!(tested.next_work().is_none(), "all slots are taken");
    assert_eq!(
        tested.answer(&Response::plain(id, Status::Ok)),
        Ok(Answer::Unlinked)
    );
    assert!(matches!(tested.next_work(), Some(Work::Unlink { target, .. }) if target == sent[4].1));
    assert!(tested.next_work().is_none());
}

#[test]
fn lies_are_seen() {
    let mut tested = scheduler();
    let endpoint = tested.add_endpoint().unwrap();
    tested
        .submit(endpoint, bulk(Direction::In, 512), 1)
        .unwrap();
    let Some(Work::Piece(piece)) = tested.next_work() else {
        panic!()
    };
    tested.sent(&piece, 512);
    for id in (0..=u16::MAX).filter(|&id| id != piece.id) {
        assert_eq!(
            tested.answer(&Response::plain(id, Status::Ok)),
            Err(Lie::Id(id))
        );
    }
    let mut long = Response::plain(piece.id, Status::Ok);
    long.actual_length = 513;
    assert_eq!(tested.answer(&long), Err(Lie::Length(piece.id)));
}
