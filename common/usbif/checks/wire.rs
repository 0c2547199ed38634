// SPDX-License-Identifier: GPL-2.0

//! The layout of usbif.h, field by field, and its bounds.

use usbif::*;

pub(crate) fn collect(list: &[Segment]) -> Segments {
    let mut out = Segments::EMPTY;
    for s in list {
        out.push(*s).unwrap();
    }
    out
}

/// Segments that hold `packets` descriptors.
pub(crate) fn descriptors(packets: u16, gref: u32) -> Segments {
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

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_usbif))]
mod pvusb_usbif {
    use super::*;

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
            assert!(Request::parse(&entry).is_ok());
            entry[at..at + 2].copy_from_slice(&value.to_le_bytes());
            let refused = Request::parse(&entry).map_err(|r| r.id);
            assert_eq!((what, refused), (what, Err(5)));
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
        let good = submit.entry_with_list(list);
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
            let refused = Request::parse(&entry).map_err(|r| r.id);
            assert_eq!((number, refused), (number, Err(9)));
        }
    }

    /// The numbers of usbif.h, which are also those of the `port-N` nodes.
    #[test]
    fn speeds_have_their_numbers() {
        let speeds = [Speed::None, Speed::Low, Speed::Full, Speed::High];
        for (number, speed) in (0..).zip(speeds) {
            assert_eq!(speed.wire(), number);
            assert_eq!(Speed::from_wire(number), Some(speed));
            let entry = [1, 2, 31, number];
            let event = ConnEvent::parse(&entry).unwrap();
            assert_eq!((event.id, event.port.get()), (0x201, 31));
            assert_eq!(event.speed, speed);
            assert_eq!(event.encode(), entry);
        }
        assert_eq!(Speed::from_wire(4), None);
        assert_eq!(ConnEvent::request_id(&ConnEvent::request(0x201)), 0x201);
    }
}
