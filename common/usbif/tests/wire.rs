// SPDX-License-Identifier: GPL-2.0

//! Every parser against random bytes, every encoder against its parser, and
//! the layout against usbif.h, field by field.

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

fn collect(list: &[Segment]) -> Segments {
    let mut out = Segments::EMPTY;
    for s in list {
        out.push(*s).unwrap();
    }
    out
}

fn segments(most: usize) -> impl Strategy<Value = Segments> {
    prop::collection::vec(segment(), 0..=most).prop_map(|list| collect(&list))
}

/// Segments that hold `packets` descriptors.
fn descriptors(packets: u16, gref: u32) -> Segments {
    let mut left = packets * 16;
    let mut out = Segments::EMPTY;
    while left > 0 {
        let length = left.min(4096);
        out.push(Segment {
            gref,
            offset: 0,
            length,
        })
        .unwrap();
        left -= length;
    }
    out
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

proptest! {
    #[test]
    fn a_request_survives_the_wire(request in prop_oneof![4 => submit(), 1 => unlink()]) {
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
        let sent = Indirect::new(submit, list);
        let mut bytes = [0; Indirect::LIST];
        sent.write_list(&mut bytes);
        let Ok(Request::Indirect(got)) = Request::parse(&Request::Indirect(sent).encode()) else {
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
        let asked = Request::Indirect(Indirect::new(submit, list)).encode();
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

/// Sixteen whole pages are 65,536 bytes, which the u16 field stores as 0.
#[test]
fn sixteen_pages_are_stored_as_zero() {
    let page = Segment {
        gref: 7,
        offset: 0,
        length: 4096,
    };
    let request = Request::Submit(Submit {
        id: 1,
        port: PortNumber::new(1).unwrap(),
        device: 2,
        endpoint: 3,
        direction: Direction::In,
        short_not_ok: false,
        kind: Kind::Bulk,
        data: collect(&[page; 16]),
    });
    let mut entry = request.encode();
    assert_eq!(entry[10..12], [0, 0]);
    assert_eq!(Request::parse(&entry), Ok(request));
    // 0 means 65,536 for these segments alone.
    entry[20 + 6..20 + 8].copy_from_slice(&4095u16.to_le_bytes());
    assert!(Request::parse(&entry).is_err());
    // And any other number is a lie.
    let mut entry = request.encode();
    entry[10] = 1;
    assert!(Request::parse(&entry).is_err());
}

/// A control request as the kernel's C frontend lays it out: GET_DESCRIPTOR.
#[test]
fn the_layout_is_that_of_the_header() {
    let mut entry = [0; URB_ENTRY];
    entry[..2].copy_from_slice(&0x1234u16.to_le_bytes()); // id
    entry[2..4].copy_from_slice(&1u16.to_le_bytes()); // nr_buffer_segs
    let pipe: u32 = 9 | 0x80 | (5 << 8) | (2 << 30);
    entry[4..8].copy_from_slice(&pipe.to_le_bytes());
    entry[8..10].copy_from_slice(&1u16.to_le_bytes()); // XENUSB_SHORT_NOT_OK
    entry[10..12].copy_from_slice(&18u16.to_le_bytes()); // buffer_length
    entry[12..20].copy_from_slice(&[0x80, 6, 0, 1, 0, 0, 18, 0]); // setup
    entry[20..24].copy_from_slice(&77u32.to_le_bytes()); // gref
    entry[24..26].copy_from_slice(&100u16.to_le_bytes()); // offset
    entry[26..28].copy_from_slice(&18u16.to_le_bytes()); // length
    let Ok(Request::Submit(s)) = Request::parse(&entry) else {
        panic!("refused");
    };
    assert_eq!(
        (s.id, s.port.get(), s.device, s.endpoint),
        (0x1234, 9, 5, 0)
    );
    assert_eq!(s.direction, Direction::In);
    assert!(s.short_not_ok);
    assert_eq!(
        s.data.as_slice(),
        [Segment {
            gref: 77,
            offset: 100,
            length: 18
        }]
    );
    let Kind::Control(setup) = s.kind else {
        panic!("not control")
    };
    assert_eq!(
        (setup.request_type(), setup.request(), setup.value()),
        (0x80, 6, 0x100)
    );
    assert_eq!((setup.index(), setup.length()), (0, 18));
}

/// What a hostile frontend tries first.
#[test]
fn impossible_requests_are_refused_with_their_id() {
    let good = Submit {
        id: 5,
        port: PortNumber::new(1).unwrap(),
        device: 1,
        endpoint: 1,
        direction: Direction::Out,
        short_not_ok: false,
        kind: Kind::Bulk,
        data: collect(&[Segment {
            gref: 1,
            offset: 0,
            length: 64,
        }]),
    };
    let bulk = Request::Submit(good).encode();
    let iso = Request::Submit(Submit {
        kind: Kind::Isochronous {
            interval: 1,
            start_frame: 0,
            packets: 3,
            descriptors: descriptors(3, 9),
        },
        ..good
    })
    .encode();
    let cases: [(&str, [u8; URB_ENTRY], usize, u16); 9] = [
        ("17 segments", bulk, 2, 17),
        ("65535 segments", bulk, 2, 65535),
        ("an empty segment", bulk, 26, 0),
        ("a segment beyond its page", bulk, 24, 4033),
        ("an offset that would wrap", bulk, 24, 65535),
        ("a length that is not the sum", bulk, 10, 65),
        ("no packets", iso, 16, 0),
        ("more packets than descriptors", iso, 16, 4),
        ("more descriptor segments than fit", iso, 18, 16),
    ];
    for (what, mut entry, at, value) in cases {
        assert!(
            Request::parse(&entry).is_ok(),
            "{what}: the untouched request"
        );
        entry[at..at + 2].copy_from_slice(&value.to_le_bytes());
        assert_eq!(Request::parse(&entry).map_err(|r| r.id), Err(5), "{what}");
    }
    let mut port_0 = bulk;
    port_0[4] &= !0x1f;
    assert_eq!(Request::parse(&port_0).map_err(|r| r.id), Err(5));
}

#[test]
fn ports_are_1_to_31() {
    assert_eq!(PortNumber::new(0), None);
    assert_eq!(PortNumber::new(32), None);
    assert_eq!(PortNumber::first(31).count(), 31);
    assert_eq!(PortNumber::first(255).count(), 31);
    assert_eq!(PortNumber::new(31).map(PortNumber::index), Some(30));
}

#[test]
fn what_cannot_be_indirect_is_refused() {
    let submit = Submit {
        id: 9,
        port: PortNumber::new(1).unwrap(),
        device: 1,
        endpoint: 1,
        direction: Direction::In,
        short_not_ok: false,
        kind: Kind::Bulk,
        data: collect(
            &[Segment {
                gref: 1,
                offset: 0,
                length: 4096,
            }; 20],
        ),
    };
    let list = Segment {
        gref: 2,
        offset: 0,
        length: 0,
    };
    let good = Request::Indirect(Indirect::new(submit, list)).encode();
    assert!(Request::parse(&good).is_ok());
    let broken: [fn(&mut [u8; URB_ENTRY]); 6] = [
        |entry| entry[2] = 0,                        // no segments
        |entry| entry[2] = 33,                       // too many
        |entry| entry[2] = 19,                       // not so many as the list has
        |entry| entry[24] = 0xf0 | 0x0f,             // the list leaves its page (with the next)
        |entry| entry[7] &= 0x3f,                    // isochronous
        |entry| entry[7] = 0x80 | (entry[7] & 0x3f), // control
    ];
    for (number, damage) in broken.iter().enumerate() {
        let mut entry = good;
        damage(&mut entry);
        if number == 3 {
            entry[25] = 0x0f;
        }
        assert_eq!(
            Request::parse(&entry).map_err(|refused| refused.id),
            Err(9),
            "{number}"
        );
    }
}

/// The numbers of usbif.h, which are also those of the `port-N` nodes.
#[test]
fn speeds_have_their_numbers() {
    let speeds = [Speed::None, Speed::Low, Speed::Full, Speed::High];
    for (number, speed) in (0..).zip(speeds) {
        assert_eq!(speed.wire(), number);
        assert_eq!(Speed::from_wire(number), Some(speed));
        invariants::wire::connection_event(&[1, 2, 31, number]);
    }
    assert_eq!(Speed::from_wire(4), None);
}
