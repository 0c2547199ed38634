// SPDX-License-Identifier: GPL-2.0

//! The scheduler against a backend that answers in any order, for any sequence
//! of submissions and unlinks.

use crate::table::{scheduler, Tested};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use usbfront_core::*;
use usbif::{Direction, Response, Status};

const MAX_PACKET: u16 = 512;
/// Endpoint 0 is control, then bulk ones, the last are isochronous; odd ones are
/// IN.
const ENDPOINTS: usize = 8;
const FIRST_ISO: usize = 6;
/// Bytes of a packet, and packets that a request holds.
const ISO_PACKET: u32 = 1024;
const ISO_RUN: u32 = 60;

#[derive(Clone, Debug)]
enum Op {
    Submit {
        endpoint: usize,
        pages: u32,
        odd: u32,
    },
    Cancel(usize),
    /// The completions of all that was given back have run.
    Completed,
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
        3 => (0..ENDPOINTS, 0..40u32, 0..3u32).prop_map(|(endpoint, pages, odd)| Op::Submit {
            endpoint,
            pages,
            odd
        }),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => Just(Op::Completed),
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
        bytes: u32,
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
    /// Endpoints on which a URB failed whose completion has not run.
    stopped: HashSet<usize>,
    /// Order of first pieces on each endpoint.
    begun: Vec<Vec<u32>>,
    count: u32,
}

impl World {
    fn new() -> Self {
        let mut tested = scheduler();
        let endpoints = (0..ENDPOINTS)
            .map(|_| tested.add_endpoint().unwrap())
            .collect();
        Self {
            tested,
            endpoints,
            alive: HashMap::new(),
            flying: vec![],
            finished: HashSet::new(),
            stopped: HashSet::new(),
            begun: vec![vec![]; ENDPOINTS],
            count: 0,
        }
    }

    fn finish(&mut self, finished: Option<Finished<u32>>) {
        let Some(finished) = finished else { return };
        let (_, endpoint) = self.alive.remove(&finished.payload).unwrap();
        if finished.status != 0 && endpoint < FIRST_ISO {
            self.stopped.insert(endpoint);
        }
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
                    assert!(!self.stopped.contains(&self.alive[&number].1));
                    let iso = piece.transfer.shape() == Shape::Isochronous;
                    let fits = if iso {
                        piece.limit.min(ISO_RUN)
                    } else {
                        piece.limit
                    };
                    let length = piece.transfer.cut(fits).unwrap();
                    let bytes = if iso { length * ISO_PACKET } else { length };
                    let mine =
                        |s: &Sent| matches!(s, Sent::Piece { number: n, .. } if *n == number);
                    if piece.transfer.direction() == Direction::In && !iso {
                        assert!(!self.flying.iter().any(|(_, s)| mine(s)));
                    }
                    if piece.offset == 0 && !self.flying.iter().any(|(_, s)| mine(s)) {
                        let endpoint = self.alive[&number].1;
                        self.begun[endpoint].push(number);
                    }
                    assert!(!self.flying.iter().any(|(other, _)| *other == piece.id));
                    self.tested.sent(&piece, length, bytes);
                    let job = piece.job;
                    self.flying.push((
                        piece.id,
                        Sent::Piece {
                            job,
                            length,
                            bytes,
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
        if let Sent::Piece { bytes, .. } = sent {
            response.actual_length = if share > 100 {
                bytes
            } else {
                bytes * u32::from(share) / 101
            };
        }
        match (self.tested.answer(&response).unwrap(), sent) {
            (Answer::Unlinked, Sent::Unlink { target }) => {
                let _ = target;
            }
            (
                Answer::Piece {
                    job,
                    offset,
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
                let status = status.errno();
                let finished = self.tested.settle(job, offset, length, actual, status);
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
                let (shape, length) = match endpoint {
                    0 => (Shape::Control, (pages * 4096 + odd).min(65_535)),
                    FIRST_ISO.. => (Shape::Isochronous, pages * 5 + odd + 1),
                    _ => (Shape::Stream, pages * 4096 + odd),
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
            Op::Completed => self.completed(),
        }
        self.pump();
    }

    fn completed(&mut self) {
        if self.tested.is_releasable() {
            self.tested.begin_release();
            self.tested.release();
        }
        self.stopped.clear();
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
            world.completed();
            world.pump();
            if world.flying.is_empty() {
                break;
            }
            world.answer(0, 255, 0);
        }
        prop_assert!(!world.tested.is_releasable());
        prop_assert!(world.flying.is_empty());
        prop_assert!(world.alive.is_empty());
        prop_assert_eq!(world.finished.len() as u32, world.count);
        prop_assert_eq!(world.tested.owed(), 0);
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
        let mut next = 0;
        while let Some(finished) = world.tested.drain(&mut next) {
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
