// SPDX-License-Identifier: GPL-2.0

//! Which request goes out next, and which must wait.

use super::sending::{answer, bulk, send};
use crate::table::{scheduler, Tested};
use usbfront_core::*;
use usbif::{Direction, PortNumber, Response, Status};

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_scheduler))]
mod pvusb_scheduler {
    use super::*;

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
        assert_eq!(send(&mut tested).len(), 11);
        assert!(tested.is_full());
        // Control transfers still go out, of a few devices at a time.
        let setup = Transfer::new(Shape::Control, Direction::In, 18, 64);
        let jobs = [200, 201, 202, 203, 204].map(|n| {
            let control = tested.add_endpoint().unwrap();
            tested.submit(control, setup, n).unwrap()
        });
        let [job, ..] = jobs;
        assert_eq!(send(&mut tested).len(), 4);
        // And so does an unlink, with the ring otherwise full; a suspension waits.
        assert_eq!(tested.suspend(PortNumber::new(1).unwrap()), None);
        assert!(tested.cancel(job).is_none());
        assert!(matches!(tested.next_work(), Some(Work::Unlink { .. })));
        assert!(tested.next_work().is_none());
        assert_eq!(tested.owed(), 2);
    }

    #[test]
    fn an_endpoint_that_queues_without_end_leaves_others_their_share() {
        let mut tested = scheduler();
        let hog = tested.add_endpoint().unwrap();
        let read = bulk(Direction::In, 1);
        let queue = |tested: &mut Tested, endpoint, most: u32| {
            (0..most)
                .take_while(|_| tested.submit(endpoint, read, 0).is_ok())
                .count()
        };
        assert_eq!(queue(&mut tested, hog, 10_000), 2048);
        for _ in 0..8 {
            let other = tested.add_endpoint().unwrap();
            assert_eq!(queue(&mut tested, other, 10_000), 32);
        }
        assert_eq!(queue(&mut tested, hog, 1), 0);
    }

    #[test]
    fn a_request_is_in_flight_until_its_answer() {
        let mut tested = scheduler();
        let reads = tested.add_endpoint().unwrap();
        tested.submit(reads, bulk(Direction::In, 64), 0).unwrap();
        assert!(!tested.in_flight());
        let (_, sent) = send(&mut tested).pop().unwrap();
        assert!(tested.in_flight());
        // It may take for ever.
        assert_eq!(tested.owed(), 0);
        answer(&mut tested, sent, 64, Status::Ok);
        assert!(!tested.in_flight());
    }

    #[test]
    fn the_answer_that_is_owed_the_longest_counts() {
        let mut tested = scheduler();
        let unlink = |tested: &mut Tested, payload| {
            let control = tested.add_endpoint().unwrap();
            let setup = Transfer::new(Shape::Control, Direction::Out, 0, 64);
            let job = tested.submit(control, setup, payload).unwrap();
            let (_, sent) = send(tested).pop().unwrap();
            assert!(tested.cancel(job).is_none());
            let Some(Work::Unlink { id, .. }) = tested.next_work() else {
                panic!()
            };
            (sent, id)
        };
        assert_eq!(tested.look(), 0);
        unlink(&mut tested, 0);
        assert_eq!(tested.look(), 1);
        // Others come and are answered, the first one is not.
        for n in 2..10 {
            let (sent, id) = unlink(&mut tested, n);
            assert_eq!(tested.look(), n);
            assert_eq!(
                tested.answer(&Response::plain(id, Status::Ok)),
                Ok(Answer::Unlinked)
            );
            answer(&mut tested, sent, 0, Status::Shutdown);
        }
    }

    #[test]
    fn an_unlink_without_a_slot_goes_out_with_the_next_answer() {
        let mut tested = scheduler();
        let setup = Transfer::new(Shape::Control, Direction::Out, 0, 64);
        let jobs = [(); 15].map(|()| {
            let control = tested.add_endpoint().unwrap();
            tested.submit(control, setup, 0).unwrap()
        });
        let ids = jobs.map(|job| {
            let Some(Work::Piece(piece)) = tested.next_work() else {
                panic!()
            };
            assert_eq!(piece.job, job);
            tested.sent(&piece, 0, 0);
            piece.id
        });
        assert!(tested.cancel(jobs[3]).is_none());
        let Some(Work::Unlink { id, target, .. }) = tested.next_work() else {
            panic!()
        };
        assert_eq!(target, ids[3]);
        assert!(tested.cancel(jobs[4]).is_none());
        // All slots are taken.
        assert!(tested.next_work().is_none());
        assert!(tested.is_full());
        assert_eq!(
            tested.answer(&Response::plain(id, Status::Ok)),
            Ok(Answer::Unlinked)
        );
        let Some(Work::Unlink { target, .. }) = tested.next_work() else {
            panic!()
        };
        assert_eq!(target, ids[4]);
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
        let sent = send(&mut tested);
        assert_eq!(sent.len(), 4);
        // They wait for their like, not for the ring.
        assert!(tested.is_waiting() && !tested.is_full());
        assert!(!tested.is_releasable());
        assert!(answer(&mut tested, sent[0].1, 0, Status::Stall).is_some());
        assert!(send(&mut tested).is_empty());
        // Others are not stopped.
        tested.submit(other, bulk(Direction::Out, 64), 10).unwrap();
        assert_eq!(send(&mut tested).len(), 1);

        assert!(tested.is_releasable());
        tested.begin_release();
        assert!(!tested.is_releasable());
        // Another one fails before the completions have run.
        assert!(answer(&mut tested, sent[1].1, 0, Status::Stall).is_some());
        tested.release();
        assert!(send(&mut tested).is_empty());
        assert!(tested.is_releasable());
        tested.begin_release();
        assert!(send(&mut tested).is_empty());
        tested.release();
        assert!(!tested.is_releasable());
        assert!(send(&mut tested).numbers().eq([4, 5]));
    }

    /// QEMU's backend dies of a request that is queued behind one that fails.
    #[test]
    fn a_backend_may_have_one_request_of_an_endpoint_at_a_time() {
        let mut tested = scheduler().one_at_a_time(true);
        let control = tested.add_endpoint().unwrap();
        let setup = Transfer::new(Shape::Control, Direction::In, 18, 64);
        let out = tested.add_endpoint().unwrap();
        // One that is followed by an empty packet is two requests, too.
        let zero = bulk(Direction::Out, 512).zero_packet(true);
        for n in 0..2 {
            tested.submit(control, setup, n).unwrap();
            tested.submit(out, zero, 10 + n).unwrap();
        }
        let sent = send(&mut tested);
        assert!(sent.numbers().eq([0, 10]));
        assert!(tested.is_waiting() && !tested.is_full());

        assert!(answer(&mut tested, sent[1].1, 512, Status::Ok).is_none());
        let empty = send(&mut tested);
        assert!(empty.numbers().eq([10]));
        assert!(answer(&mut tested, empty[0].1, 0, Status::Ok).is_some());
        assert!(send(&mut tested).numbers().eq([11]));

        assert!(answer(&mut tested, sent[0].1, 0, Status::Stall).is_some());
        assert!(send(&mut tested).is_empty());
        tested.begin_release();
        tested.release();
        assert!(send(&mut tested).numbers().eq([1]));
    }

    #[test]
    fn a_queue_waits_for_what_is_being_unlinked() {
        let mut tested = scheduler();
        let endpoint = tested.add_endpoint().unwrap();
        let first = tested.submit(endpoint, bulk(Direction::In, 64), 0).unwrap();
        let sent = send(&mut tested);
        assert!(tested.cancel(first).is_none());
        tested.submit(endpoint, bulk(Direction::In, 64), 1).unwrap();
        // It is still at the device.
        assert!(!tested.is_releasable());
        assert!(matches!(tested.next_work(), Some(Work::Unlink { .. })));
        assert!(tested.next_work().is_none());
        // What had come in before is the caller's.
        let finished = answer(&mut tested, sent[0].1, 13, Status::Shutdown).unwrap();
        assert_eq!((finished.status, finished.actual), (-104, 13));
        assert!(tested.next_work().is_none());
        assert!(tested.is_releasable());
        tested.begin_release();
        tested.release();
        assert_eq!(send(&mut tested)[0].0, 1);
    }

    /// With URB_SHORT_NOT_OK what follows in the stream is not the next URB's.
    /// None goes to the device when one before it has been taken back.
    #[test]
    fn the_last_piece_is_unlinked_first() {
        let mut tested = scheduler();
        let disk = tested.add_endpoint().unwrap();
        let job = tested
            .submit(disk, bulk(Direction::Out, 4 * 65_536), 0)
            .unwrap();
        let mut sent = send(&mut tested);
        assert_eq!(sent.len(), 4);
        sent.pop();
        assert!(tested.cancel(job).is_none());
        for &(_, id) in sent.iter().rev() {
            let work = tested.next_work();
            assert!(matches!(work, Some(Work::Unlink { target, .. }) if target == id));
        }
    }

    #[test]
    fn a_read_that_must_not_be_short_is_not_overtaken() {
        let mut tested = scheduler();
        let endpoint = tested.add_endpoint().unwrap();
        let strict = bulk(Direction::In, 512).short_not_ok(true);
        for n in 0..3 {
            tested.submit(endpoint, strict, n).unwrap();
        }
        let sent = send(&mut tested);
        assert_eq!(sent.len(), 1);
        assert!(answer(&mut tested, sent[0].1, 512, Status::Ok).is_some());
        let sent = send(&mut tested);
        assert_eq!(sent[0].0, 1);
        let finished = answer(&mut tested, sent[0].1, 100, Status::Ok).unwrap();
        assert_eq!((finished.status, finished.actual), (-121, 100));
        assert!(send(&mut tested).is_empty());
        assert!(tested.is_releasable());
    }
}
