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
        tested.sent(&piece, piece.limit, piece.limit);
        flying += 1;
    }
    assert_eq!(flying, 11);
    // Control transfers still go out, a few at a time.
    let control = tested.add_endpoint().unwrap();
    let setup = Transfer::new(Shape::Control, Direction::In, 18, 64);
    let job = tested.submit(control, setup, 200).unwrap();
    for n in 201..205 {
        tested.submit(control, setup, n).unwrap();
    }
    for _ in 0..4 {
        let Some(Work::Piece(piece)) = tested.next_work() else {
            panic!()
        };
        tested.sent(&piece, piece.limit, piece.limit);
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
        tested.sent(&piece, 0, 0);
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
    tested.sent(&piece, 512, 512);
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

fn isochronous(direction: Direction, packets: u32) -> Transfer {
    Transfer::new(Shape::Isochronous, direction, packets, 1)
}

/// Sends what may go; returns jobs and ids.
fn send_all(tested: &mut Tested) -> Vec<(u32, u16)> {
    let mut sent = vec![];
    while let Some(work) = tested.next_work() {
        let Work::Piece(piece) = work else { panic!() };
        tested.sent(&piece, piece.limit, piece.limit * ISO_PACKET);
        sent.push((*tested.payload(piece.job).unwrap(), piece.id));
    }
    sent
}

#[test]
fn a_stream_has_all_its_urbs_on_the_ring_in_order() {
    let mut tested = scheduler();
    let camera = tested.add_endpoint().unwrap();
    for n in 0..5 {
        tested
            .submit(camera, isochronous(Direction::In, 32), n)
            .unwrap();
    }
    let sent = send_all(&mut tested);
    assert_eq!(
        sent.iter().map(|s| s.0).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    // As one comes back and is submitted again, it goes out at once.
    for (n, (_, id)) in (0..5).zip(sent) {
        let Ok(Answer::Piece { job, length, .. }) = tested.answer(&Response::plain(id, Status::Ok))
        else {
            panic!()
        };
        assert_eq!(length, 32);
        let finished = tested.settle(job, length, 0, 0).unwrap();
        assert_eq!((finished.payload, finished.status), (n, 0));
        tested
            .submit(camera, isochronous(Direction::In, 32), n + 5)
            .unwrap();
        assert_eq!(send_all(&mut tested)[0].0, n + 5);
    }
}

#[test]
fn endless_reads_leave_room_for_a_stream() {
    let mut tested = scheduler();
    for n in 0..31 {
        let keys = tested.add_endpoint().unwrap();
        tested.submit(keys, bulk(Direction::In, 8), n).unwrap();
    }
    send_all(&mut tested);
    let microphone = tested.add_endpoint().unwrap();
    for n in 100..108 {
        tested
            .submit(microphone, isochronous(Direction::In, 8), n)
            .unwrap();
    }
    // One at the device, one behind it.
    let sent = send_all(&mut tested);
    assert_eq!(sent.iter().map(|s| s.0).collect::<Vec<_>>(), [100, 101]);
}

#[test]
fn streams_share_the_ring() {
    let mut tested = scheduler();
    let streams: Vec<_> = (0..2).map(|_| tested.add_endpoint().unwrap()).collect();
    let mut flying = std::collections::VecDeque::new();
    // The first has more URBs than the ring holds.
    for (stream, urbs) in [(0, 20), (1, 4)] {
        for _ in 0..urbs {
            let transfer = isochronous(Direction::In, 8);
            tested
                .submit(streams[stream], transfer, stream as u32)
                .unwrap();
        }
    }
    flying.extend(send_all(&mut tested));
    let mut served = [0; 2];
    for _ in 0..200 {
        let (stream, id) = flying.pop_front().unwrap();
        let Ok(Answer::Piece { job, length, .. }) = tested.answer(&Response::plain(id, Status::Ok))
        else {
            panic!()
        };
        assert!(tested.settle(job, length, 0, 0).is_some());
        served[stream as usize] += 1;
        let transfer = isochronous(Direction::In, 8);
        tested
            .submit(streams[stream as usize], transfer, stream)
            .unwrap();
        flying.extend(send_all(&mut tested));
    }
    assert!(served[1] >= 50, "{served:?}");
}

#[test]
fn an_isochronous_urb_waits_for_all_its_pieces() {
    let mut tested = scheduler();
    let endpoint = tested.add_endpoint().unwrap();
    tested
        .submit(endpoint, isochronous(Direction::In, 100), 1)
        .unwrap();
    let mut pieces = vec![];
    while let Some(Work::Piece(piece)) = tested.next_work() {
        let length = piece.transfer.cut(piece.limit.min(ISO_RUN)).unwrap();
        tested.sent(&piece, length, length * ISO_PACKET);
        pieces.push((piece, length));
    }
    let places: Vec<_> = pieces
        .iter()
        .map(|(p, length)| (p.offset, *length))
        .collect();
    assert_eq!(places, [(0, 60), (60, 40)]);
    // Bytes may be claimed, not packets.
    let mut response = Response::plain(pieces[1].0.id, Status::Ok);
    response.actual_length = 40 * ISO_PACKET + 1;
    assert!(matches!(tested.answer(&response), Err(Lie::Length(_))));
    response.actual_length = 40 * ISO_PACKET;
    assert!(matches!(
        tested.answer(&response),
        Ok(Answer::Piece {
            offset: 60,
            length: 40,
            ..
        })
    ));
    let job = pieces[1].0.job;
    assert!(tested.settle(job, 40, 40 * ISO_PACKET, 0).is_none());
    let response = Response::plain(pieces[0].0.id, Status::Ok);
    assert!(tested.answer(&response).is_ok());
    // Packets that are short do not end it, and are no error.
    let finished = tested.settle(job, 60, 7, 0).unwrap();
    assert_eq!((finished.status, finished.actual), (0, 40 * ISO_PACKET + 7));
}

/// Answers a piece; returns what became of its job.
fn answer(tested: &mut Tested, id: u16, actual: u32, status: Status) -> Option<Finished<u32>> {
    let mut response = Response::plain(id, status);
    response.actual_length = actual;
    let Ok(Answer::Piece { job, length, .. }) = tested.answer(&response) else {
        panic!()
    };
    tested.settle(job, length, actual, status.errno())
}

/// Sends what may go, bytes as they are; returns jobs and ids.
fn send_bytes(tested: &mut Tested) -> Vec<(u32, u16)> {
    let mut sent = vec![];
    while let Some(Work::Piece(piece)) = tested.next_work() {
        tested.sent(&piece, piece.limit, piece.limit);
        sent.push((*tested.payload(piece.job).unwrap(), piece.id));
    }
    sent
}

#[test]
fn after_an_error_a_queue_waits_for_the_completion() {
    let mut tested = scheduler();
    let endpoint = tested.add_endpoint().unwrap();
    let other = tested.add_endpoint().unwrap();
    for n in 0..6 {
        tested
            .submit(endpoint, bulk(Direction::Out, 64), n)
            .unwrap();
    }
    let sent = send_bytes(&mut tested);
    assert_eq!(sent.len(), 4);
    assert!(!tested.is_releasable());
    assert!(answer(&mut tested, sent[0].1, 0, Status::Stall).is_some());
    assert!(send_bytes(&mut tested).is_empty(), "stopped");
    tested.submit(other, bulk(Direction::Out, 64), 10).unwrap();
    assert_eq!(send_bytes(&mut tested).len(), 1, "others are not");

    assert!(tested.is_releasable());
    tested.begin_release();
    assert!(!tested.is_releasable());
    // Another one fails before the completions have run.
    assert!(answer(&mut tested, sent[1].1, 0, Status::Stall).is_some());
    tested.release();
    assert!(send_bytes(&mut tested).is_empty());
    assert!(tested.is_releasable());
    tested.begin_release();
    assert!(send_bytes(&mut tested).is_empty());
    tested.release();
    assert!(!tested.is_releasable());
    let next = send_bytes(&mut tested);
    assert_eq!(next.iter().map(|s| s.0).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn a_queue_waits_for_what_is_being_unlinked() {
    let mut tested = scheduler();
    let endpoint = tested.add_endpoint().unwrap();
    let first = tested.submit(endpoint, bulk(Direction::In, 64), 0).unwrap();
    let sent = send_bytes(&mut tested);
    assert!(tested.cancel(first).is_none());
    tested.submit(endpoint, bulk(Direction::In, 64), 1).unwrap();
    assert!(!tested.is_releasable(), "it is still at the device");
    assert!(matches!(tested.next_work(), Some(Work::Unlink { .. })));
    assert!(tested.next_work().is_none());
    // What had come in before is the caller's.
    let finished = answer(&mut tested, sent[0].1, 13, Status::Shutdown).unwrap();
    assert_eq!((finished.status, finished.actual), (-104, 13));
    assert!(tested.next_work().is_none());
    assert!(tested.is_releasable());
    tested.begin_release();
    tested.release();
    assert_eq!(send_bytes(&mut tested)[0].0, 1);
}

/// With URB_SHORT_NOT_OK what follows in the stream is not the next URB's.
#[test]
fn a_read_that_must_not_be_short_is_not_overtaken() {
    let mut tested = scheduler();
    let endpoint = tested.add_endpoint().unwrap();
    let strict = bulk(Direction::In, 512).short_not_ok(true);
    for n in 0..3 {
        tested.submit(endpoint, strict, n).unwrap();
    }
    let sent = send_bytes(&mut tested);
    assert_eq!(sent.len(), 1);
    assert!(answer(&mut tested, sent[0].1, 512, Status::Ok).is_some());
    let sent = send_bytes(&mut tested);
    assert_eq!(sent[0].0, 1);
    let finished = answer(&mut tested, sent[0].1, 100, Status::Ok).unwrap();
    assert_eq!((finished.status, finished.actual), (-121, 100));
    assert!(send_bytes(&mut tested).is_empty());
    assert!(tested.is_releasable());
}

#[test]
fn a_stream_goes_on_after_errors() {
    let mut tested = scheduler();
    let camera = tested.add_endpoint().unwrap();
    for n in 0..3 {
        tested
            .submit(camera, isochronous(Direction::In, 8), n)
            .unwrap();
    }
    let sent = send_all(&mut tested);
    assert!(answer(&mut tested, sent[0].1, 0, Status::IoError).is_some());
    tested
        .submit(camera, isochronous(Direction::In, 8), 3)
        .unwrap();
    assert_eq!(send_all(&mut tested)[0].0, 3);
    assert!(!tested.is_releasable());
}
