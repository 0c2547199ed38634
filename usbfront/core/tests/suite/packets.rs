// SPDX-License-Identifier: GPL-2.0

//! Isochronous packets: cut into requests, laid out in pages, answered by a
//! backend that lies, and put together again.

use proptest::prelude::*;
use usbfront_core::*;
use usbif::{
    Direction, IsoDescriptor, Kind, PortNumber, Request, Segment, Segments, Submit, MAX_SEGMENTS,
};

/// What a high-speed endpoint has at most, three transactions of 1024 bytes.
const LONGEST: u32 = 3072;

/// Lengths of a URB's packets: many long ones, or very many short ones, or such
/// as any driver may have.
fn lengths() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        prop::collection::vec(0..=LONGEST, 1..200),
        prop::collection::vec(Just(LONGEST), 1..200),
        prop::collection::vec(0..=2u32, 1..2000),
    ]
}

/// The runs that a URB is cut into, as the shell does it.
fn cut(lengths: &[u32]) -> Vec<(usize, Run)> {
    let count = lengths.len() as u32;
    let mut transfer = Transfer::new(Shape::Isochronous, Direction::In, count, 1);
    let mut runs = vec![];
    while let Some((first, limit)) = transfer.next_piece() {
        assert_eq!(limit, count - first);
        let run = Run::longest(lengths[first as usize..].iter().copied());
        assert_eq!(transfer.cut(run.packets), Some(run.packets));
        transfer.sent(run.packets);
        runs.push((first as usize, run));
    }
    assert_eq!(transfer.in_flight() as usize, runs.len());
    runs
}

/// Descriptors of a run.
fn descriptors(lengths: &[u32]) -> Vec<IsoDescriptor> {
    let mut places = Places::default();
    lengths.iter().map(|&length| places.place(length)).collect()
}

/// The request of a run, laid out as the shell does it: page n has number n.
fn request(run: Run) -> Submit {
    let segment = |page: usize, offset, length| Segment {
        gref: page as u32,
        offset,
        length,
    };
    let mut data = Segments::EMPTY;
    for span in spans(0, run.bytes) {
        data.push(segment(span.page, span.offset, span.length))
            .unwrap();
    }
    let mut descriptors = Segments::EMPTY;
    let length = run.packets * IsoDescriptor::SIZE as u32;
    descriptors
        .push(segment(DATA_PAGES, 0, length as u16))
        .unwrap();
    Submit {
        id: 1,
        port: PortNumber::new(1).unwrap(),
        device: 2,
        endpoint: 3,
        direction: Direction::In,
        short_not_ok: false,
        kind: Kind::Isochronous {
            interval: 1,
            start_frame: 0,
            packets: run.packets as u16,
            descriptors,
        },
        data,
    }
}

proptest! {
    /// Every packet is in one request, whole, in order, and no request could
    /// have held one more.
    #[test]
    fn packets_are_partitioned(lengths in lengths()) {
        let runs = cut(&lengths);
        let mut next = 0;
        for &(first, run) in &runs {
            prop_assert_eq!(first, next);
            prop_assert!(run.packets > 0 && run.packets <= MOST_PACKETS);
            next += run.packets as usize;
            let bytes: u32 = lengths[first..next].iter().sum();
            prop_assert_eq!(run.bytes, bytes);
            prop_assert!(run.bytes <= MOST_BYTES);
            if let Some(more) = lengths.get(next) {
                prop_assert!(run.packets == MOST_PACKETS || run.bytes + more > MOST_BYTES);
            }
        }
        prop_assert_eq!(next, lengths.len());
    }

    /// Sixteen segments do for every run, and the backend's parser takes the
    /// request.
    #[test]
    fn a_run_fits_a_request(lengths in lengths()) {
        for (first, run) in cut(&lengths) {
            let submit = request(run);
            let Kind::Isochronous { descriptors: granted, .. } = submit.kind else { unreachable!() };
            prop_assert!(submit.data.len() + granted.len() <= MAX_SEGMENTS);
            prop_assert_eq!(submit.data.total(), run.bytes);
            let request = Request::Submit(submit);
            prop_assert_eq!(Request::parse(&request.encode()), Ok(request));
            let packets = &lengths[first..first + run.packets as usize];
            for descriptor in descriptors(packets) {
                prop_assert!(descriptor.fits(run.bytes));
                prop_assert_eq!(IsoDescriptor::parse(&descriptor.encode()), descriptor);
            }
        }
    }

    /// Places of packets touch each other, and the spans of a packet are its
    /// bytes, each once, in the pages of the request.
    #[test]
    fn no_two_packets_share_a_byte(lengths in lengths()) {
        let (first, run) = cut(&lengths)[0];
        let mut used = vec![false; MOST_BYTES as usize];
        for descriptor in descriptors(&lengths[first..first + run.packets as usize]) {
            let mut at = descriptor.offset;
            for span in spans(descriptor.offset, descriptor.length) {
                prop_assert!(span.page < DATA_PAGES && span.length > 0);
                prop_assert!(span.offset + span.length <= 4096);
                prop_assert_eq!(span.page as u32 * 4096 + u32::from(span.offset), at);
                for byte in at..at + u32::from(span.length) {
                    prop_assert!(!used[byte as usize]);
                    used[byte as usize] = true;
                }
                at += u32::from(span.length);
            }
            prop_assert_eq!(at, descriptor.offset + descriptor.length);
        }
        prop_assert_eq!(used.iter().filter(|&&used| used).count() as u32, run.bytes);
    }

    /// Whatever bytes a backend leaves in a descriptor: either it is refused, or
    /// it is the packet that was asked for, with a length and a status that it
    /// can have.
    #[test]
    fn a_hostile_descriptor_is_refused_or_tame(
        before in prop::collection::vec(0..=LONGEST, 0..10),
        length in 0..=LONGEST,
        noise in any::<[u8; 16]>(),
        keep in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        actual in 0..=LONGEST + 1,
    ) {
        let mut lengths = before;
        lengths.push(length);
        let asked = *descriptors(&lengths).last().unwrap();
        let mut bytes = noise;
        let own = asked.encode();
        // Mostly right, else nothing but the offset is ever looked at.
        for (at, keep) in [(0, keep.0 || keep.1), (4, keep.0 || keep.2), (8, false), (12, keep.3)] {
            if keep {
                bytes[at..at + 4].copy_from_slice(&own[at..at + 4]);
            }
        }
        if keep.1 {
            bytes[8..12].copy_from_slice(&actual.to_le_bytes());
        }
        let field = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let honest = field(0) == asked.offset && field(4) == length && field(8) <= length;
        match outcome(&asked, &IsoDescriptor::parse(&bytes)) {
            None => prop_assert!(!honest),
            Some(outcome) => {
                prop_assert!(honest);
                prop_assert_eq!(outcome.actual_length, field(8));
                prop_assert!(outcome.actual_length <= length);
                prop_assert!(outcome.status <= 0 && outcome.status >= -121);
            }
        }
    }

    /// A device fills packets, some short, some failed; what the URB gets is
    /// that, at each packet's own place and nowhere else.
    #[test]
    fn what_came_in_is_put_together(
        packets in prop::collection::vec((0..=LONGEST, 0..=LONGEST, any::<bool>(), 0..3u32), 1..120),
    ) {
        let lengths: Vec<_> = packets.iter().map(|p| p.0).collect();
        // The URB's packets have gaps between them.
        let mut end = 0;
        let offsets: Vec<_> = packets
            .iter()
            .map(|p| {
                let offset = end + p.3 as usize;
                end = offset + p.0 as usize;
                offset
            })
            .collect();
        let mut buffer = vec![0xee; end];
        let mut results = vec![(0, -18); packets.len()];
        let mut transfer =
            Transfer::new(Shape::Isochronous, Direction::In, packets.len() as u32, 1);
        while let Some((first, _)) = transfer.next_piece() {
            let first = first as usize;
            let run = Run::longest(lengths[first..].iter().copied());
            transfer.sent(run.packets);
            let numbers = first..first + run.packets as usize;
            let asked = descriptors(&lengths[numbers.clone()]);
            let mut pages = vec![[0xdd; 4096]; DATA_PAGES];
            let mut moved = 0;
            for (asked, number) in asked.iter().zip(numbers) {
                let mut answered = *asked;
                answered.actual_length = packets[number].1.min(asked.length);
                answered.status = if packets[number].2 { 0 } else { -84 };
                for span in spans(answered.offset, answered.actual_length) {
                    let to = usize::from(span.offset);
                    pages[span.page][to..to + usize::from(span.length)].fill(number as u8);
                }
                let outcome = outcome(asked, &IsoDescriptor::parse(&answered.encode())).unwrap();
                let mut to = offsets[number];
                for span in spans(asked.offset, outcome.actual_length) {
                    let from = usize::from(span.offset);
                    let bytes = &pages[span.page][from..from + usize::from(span.length)];
                    buffer[to..to + bytes.len()].copy_from_slice(bytes);
                    to += bytes.len();
                }
                results[number] = (outcome.actual_length, outcome.status);
                moved += outcome.actual_length;
            }
            transfer.answered(first as u32, run.packets, moved, 0);
        }
        let mut total = 0;
        let mut wanted = vec![0xee; end];
        for (number, &(length, received, good, _)) in packets.iter().enumerate() {
            let actual = received.min(length);
            total += actual;
            prop_assert_eq!(results[number], (actual, if good { 0 } else { -84 }));
            let at = offsets[number];
            wanted[at..at + actual as usize].fill(number as u8);
        }
        prop_assert!(buffer == wanted, "a byte is not where it belongs");
        prop_assert_eq!(transfer.finished(), Some((0, total)));
    }
}
