// SPDX-License-Identifier: GPL-2.0

//! Every parser against random bytes, every encoder against its parser.

#[path = "../checks/wire.rs"]
mod checks;

use checks::{collect, descriptors};
use proptest::prelude::*;
use usbif::*;

fn segment() -> impl Strategy<Value = Segment> {
    (any::<u32>(), 1u16..=4096).prop_flat_map(|(gref, length)| {
        (0..=4096 - length).prop_map(move |offset| Segment {
            gref,
            offset,
            length,
        })
    })
}

fn segments(most: usize) -> impl Strategy<Value = Segments> {
    prop::collection::vec(segment(), 0..=most).prop_map(|list| collect(&list))
}

fn kind_and_data() -> impl Strategy<Value = (Kind, Segments)> {
    prop_oneof![
        (any::<[u8; 8]>(), segments(15)).prop_map(|(mut setup, data)| {
            setup[6..].copy_from_slice(&(data.total() as u16).to_le_bytes());
            (Kind::Control(SetupPacket(setup)), data)
        }),
        segments(16).prop_map(|data| (Kind::Bulk, data)),
        (any::<u16>(), segments(16))
            .prop_map(|(interval, data)| (Kind::Interrupt { interval }, data)),
        (
            any::<u16>(),
            any::<u16>(),
            1u16..600,
            any::<u32>(),
            segments(12)
        )
            .prop_map(|(interval, start_frame, packets, gref, data)| {
                let descriptors = descriptors(packets, gref);
                (
                    Kind::Isochronous {
                        interval,
                        start_frame,
                        packets,
                        descriptors,
                    },
                    data,
                )
            }),
    ]
}

fn submit() -> impl Strategy<Value = Request> {
    (
        any::<u16>(),
        1u8..=31,
        0u8..128,
        0u8..16,
        any::<bool>(),
        any::<bool>(),
        kind_and_data(),
    )
        .prop_map(
            |(id, port, device, endpoint, to_host, short_not_ok, (kind, data))| {
                let direction = match kind {
                    Kind::Control(setup) => setup.direction(),
                    _ if to_host => Direction::In,
                    _ => Direction::Out,
                };
                let port = PortNumber::new(port).unwrap();
                Request::Submit(Submit {
                    id,
                    port,
                    device,
                    endpoint,
                    direction,
                    short_not_ok,
                    kind,
                    data,
                })
            },
        )
}

fn unlink() -> impl Strategy<Value = Request> {
    (any::<u16>(), any::<u16>(), 0u8..32, 0u8..128).prop_map(|(id, target, port, device)| {
        Request::Unlink {
            id,
            target,
            port,
            device,
        }
    })
}

fn suspend() -> impl Strategy<Value = Request> {
    (any::<u16>(), 1u8..=31).prop_map(|(id, port)| Request::Suspend {
        id,
        port: PortNumber::new(port).unwrap(),
    })
}

proptest! {
    #[test]
    fn a_request_survives_the_wire(request in prop_oneof![4 => submit(), 1 => unlink(), 1 => suspend()]) {
        prop_assert_eq!(Request::parse(&request.encode()), Ok(request));
    }

    #[test]
    fn an_indirect_request_survives_the_wire(
        request in submit(), data in segments(MAX_INDIRECT), list in segment(), out in any::<bool>(),
    ) {
        let Request::Submit(mut submit) = request else { unreachable!() };
        prop_assume!(!data.is_empty());
        submit.kind = if out { Kind::Bulk } else { Kind::Interrupt { interval: 7 } };
        submit.data = data;
        let list = Segment { offset: list.offset.min(4096 - Indirect::LIST as u16), ..list };
        let mut bytes = [0; Indirect::LIST];
        submit.write_list(&mut bytes);
        let Ok(Request::Indirect(got)) = Request::parse(&submit.entry_with_list(list)) else {
            return Err(TestCaseError::fail("not an indirect request"));
        };
        prop_assert_eq!(got.list().gref, list.gref);
        prop_assert_eq!(usize::from(got.list().length), data.len() * 8);
        prop_assert_eq!(got.complete(&bytes), Ok(submit));
    }

    /// The list is the other side's memory, too.
    #[test]
    fn a_random_list_makes_sound_segments_or_none(
        request in submit(), count in 1usize..=MAX_INDIRECT,
        bytes in prop::collection::vec(any::<u8>(), Indirect::LIST), tame in any::<bool>(),
    ) {
        let Request::Submit(mut submit) = request else { unreachable!() };
        submit.kind = Kind::Bulk;
        let mut bytes: [u8; Indirect::LIST] = bytes.try_into().unwrap();
        let mut total = 0u32;
        for seg in bytes.chunks_exact_mut(8) {
            if tame {
                seg[4..].copy_from_slice(&[0, 1, 0, 2]);
            }
        }
        for seg in bytes.chunks_exact(8).take(count) {
            total += u32::from(u16::from_le_bytes([seg[6], seg[7]]));
        }
        submit.data = collect(&vec![Segment { gref: 0, offset: 0, length: 512 }; count]);
        let list = Segment { gref: 5, offset: 0, length: 0 };
        let asked = submit.entry_with_list(list);
        let Ok(Request::Indirect(got)) = Request::parse(&asked) else {
            return Err(TestCaseError::fail("not an indirect request"));
        };
        match got.complete(&bytes) {
            Ok(done) => {
                prop_assert_eq!(done.data.len(), count);
                prop_assert_eq!(done.data.total(), total);
                for seg in done.data.as_slice() {
                    prop_assert!(seg.length > 0);
                    prop_assert!(u32::from(seg.offset) + u32::from(seg.length) <= 4096);
                }
            }
            Err(_) => prop_assert!(!tame),
        }
    }

    /// Whatever a guest writes, what comes out keeps the promises of the types.
    #[test]
    fn random_bytes_make_a_sound_request_or_none(
        bytes in prop::collection::vec(any::<u8>(), URB_ENTRY),
        small in 0u8..20,
        tame in any::<bool>(),
    ) {
        let mut entry: [u8; URB_ENTRY] = bytes.try_into().unwrap();
        if tame {
            // Else hardly a random request gets past the segment count.
            entry[2..4].copy_from_slice(&[small, 0]);
            for seg in 0..16 {
                let at = 20 + seg * 8;
                entry[at + 5] &= 0x0f;
                entry[at + 7] &= 0x0f;
            }
        }
        invariants::wire::request(&entry);
    }

    #[test]
    fn a_response_survives_the_wire(
        id in any::<u16>(), start_frame in any::<u16>(),
        status in prop::sample::select(vec![0, -19, -22, -32, -71, -75, -108]),
        actual_length in 0u32..=i32::MAX as u32, error_count in 0u32..=i32::MAX as u32,
    ) {
        let status = Status::from_wire(status).unwrap();
        let response = Response { id, start_frame, status, actual_length, error_count };
        let mut entry = [0xff; URB_ENTRY];
        entry[..16].copy_from_slice(&response.encode());
        prop_assert_eq!(Response::parse(&entry), Ok(response));
    }

    #[test]
    fn a_random_response_is_sound_or_refused(bytes in any::<[u8; 16]>(), known in any::<bool>()) {
        let mut bytes = bytes;
        if known {
            bytes[4..8].fill(0);
        }
        invariants::wire::response(&bytes);
    }

    #[test]
    fn a_connection_event_is_sound_or_refused(entry in any::<[u8; 4]>()) {
        invariants::wire::connection_event(&entry);
    }

    /// Every URB status has one on the wire, and the wire's map to themselves.
    #[test]
    fn every_status_has_a_place(status in any::<i32>()) {
        invariants::wire::status(status);
    }

    #[test]
    fn a_descriptor_survives_and_its_status_is_tame(bytes in any::<[u8; 20]>()) {
        invariants::wire::descriptor(&bytes);
    }
}
