// SPDX-License-Identifier: GPL-2.0

//! Isochronous streams among other requests.

use super::sending::{answer, bulk, isochronous, send, Sent, ISO_PACKET};
use crate::table::scheduler;
use usbfront_core::*;
use usbif::{Direction, Response, Status};

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_streams))]
mod pvusb_streams {
    use super::*;

    #[test]
    fn a_stream_has_all_its_urbs_on_the_ring_in_order() {
        let mut tested = scheduler();
        let camera = tested.add_endpoint().unwrap();
        for n in 0..5 {
            tested
                .submit(camera, isochronous(Direction::In, 32), n)
                .unwrap();
        }
        let sent = send(&mut tested);
        assert!(sent.numbers().eq(0..5));
        // As one comes back and is submitted again, it goes out at once.
        for &(n, id) in sent.iter() {
            let response = Response::plain(id, Status::Ok);
            let Ok(Answer::Piece { job, length, .. }) = tested.answer(&response) else {
                panic!()
            };
            assert_eq!(length, 32);
            let finished = tested.settle(job, 0, length, 0, 0).unwrap();
            assert_eq!((finished.payload, finished.status), (n, 0));
            tested
                .submit(camera, isochronous(Direction::In, 32), n + 5)
                .unwrap();
            assert_eq!(send(&mut tested)[0].0, n + 5);
        }
    }

    #[test]
    fn endless_reads_leave_room_for_a_stream() {
        let mut tested = scheduler();
        for n in 0..31 {
            let keys = tested.add_endpoint().unwrap();
            tested.submit(keys, bulk(Direction::In, 8), n).unwrap();
        }
        send(&mut tested);
        let microphone = tested.add_endpoint().unwrap();
        for n in 100..108 {
            tested
                .submit(microphone, isochronous(Direction::In, 8), n)
                .unwrap();
        }
        // One at the device, one behind it.
        assert!(send(&mut tested).numbers().eq([100, 101]));
    }

    #[test]
    fn streams_share_the_ring() {
        let mut tested = scheduler();
        let streams = [(); 2].map(|()| tested.add_endpoint().unwrap());
        let mut flying = Sent::default();
        // The first has more URBs than the ring holds.
        for (stream, urbs) in [(0, 20), (1, 4)] {
            for _ in 0..urbs {
                let transfer = isochronous(Direction::In, 8);
                tested
                    .submit(streams[stream], transfer, stream as u32)
                    .unwrap();
            }
        }
        flying.append(&send(&mut tested));
        let mut served = [0; 2];
        for _ in 0..200 {
            let (stream, id) = flying.pop().unwrap();
            assert!(answer(&mut tested, id, 0, Status::Ok).is_some());
            served[stream as usize] += 1;
            let transfer = isochronous(Direction::In, 8);
            tested
                .submit(streams[stream as usize], transfer, stream)
                .unwrap();
            flying.append(&send(&mut tested));
        }
        assert!(served[1] >= 50);
    }

    /// A microphone has twelve URBs, each of which is there again as soon as it is back.
    #[test]
    fn streams_and_control_requests_without_end_leave_room_for_others() {
        for streams in 1..3 {
            let mut tested = scheduler();
            for _ in 0..streams {
                let microphone = tested.add_endpoint().unwrap();
                for _ in 0..12 {
                    let transfer = isochronous(Direction::In, 8);
                    tested.submit(microphone, transfer, 0).unwrap();
                }
            }
            assert!(send(&mut tested).len() >= 8);
            let disk = tested.add_endpoint().unwrap();
            tested.submit(disk, bulk(Direction::In, 512), 1).unwrap();
            assert!(send(&mut tested).numbers().eq([1]));
        }
        let mut tested = scheduler();
        let control = tested.add_endpoint().unwrap();
        for _ in 0..64 {
            let setup = Transfer::new(Shape::Control, Direction::In, 18, 64);
            tested.submit(control, setup, 0).unwrap();
        }
        assert_eq!(send(&mut tested).len(), 8);
        let disk = tested.add_endpoint().unwrap();
        tested.submit(disk, bulk(Direction::In, 512), 1).unwrap();
        assert!(send(&mut tested).numbers().eq([1]));
    }

    #[test]
    fn an_isochronous_urb_waits_for_all_its_pieces() {
        let mut tested = scheduler();
        let endpoint = tested.add_endpoint().unwrap();
        tested
            .submit(endpoint, isochronous(Direction::In, 100), 1)
            .unwrap();
        let pieces = [(0, 60), (60, 40)].map(|place| {
            let Some(Work::Piece(piece)) = tested.next_work() else {
                panic!()
            };
            let length = piece.transfer.cut(piece.limit.min(60)).unwrap();
            assert_eq!((piece.offset, length), place);
            tested.sent(&piece, length, length * ISO_PACKET);
            piece
        });
        assert!(tested.next_work().is_none());
        // Bytes may be claimed, not packets.
        let mut response = Response::plain(pieces[1].id, Status::Ok);
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
        let job = pieces[1].job;
        assert!(tested.settle(job, 60, 40, 40 * ISO_PACKET, 0).is_none());
        let response = Response::plain(pieces[0].id, Status::Ok);
        assert!(tested.answer(&response).is_ok());
        // Packets that are short do not end it, and are no error.
        let finished = tested.settle(job, 0, 60, 7, 0).unwrap();
        assert_eq!((finished.status, finished.actual), (0, 40 * ISO_PACKET + 7));
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
        let sent = send(&mut tested);
        assert!(answer(&mut tested, sent[0].1, 0, Status::IoError).is_some());
        tested
            .submit(camera, isochronous(Direction::In, 8), 3)
            .unwrap();
        assert_eq!(send(&mut tested)[0].0, 3);
        assert!(!tested.is_releasable());
    }
}
