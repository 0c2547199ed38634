// SPDX-License-Identifier: GPL-2.0

//! The wire: what is parsed equals what a kernel would have written, what is
//! encoded reads back, and garbage is refused without harm.

use proptest::prelude::*;
use usbif::SetupPacket;
use usbsim::protocol::{Command, Done, Packet, Reply, Status, Submit, HEADER};

/// What vhci_tx.c writes for a submission.
fn written(submit: &Submit) -> Vec<u8> {
    let flags = if submit.asap { 2 } else { 0 };
    let head = [
        1,
        submit.seqnum,
        7,
        u32::from(submit.input),
        u32::from(submit.number),
        flags,
        submit.length,
        submit.start_frame,
        submit.packets.len() as u32,
        1,
    ];
    let mut out: Vec<u8> = head.iter().flat_map(|word| word.to_be_bytes()).collect();
    out.extend(submit.setup.0);
    out.extend(&submit.data);
    for packet in &submit.packets {
        for word in [
            packet.offset,
            packet.length,
            packet.actual,
            packet.status as u32,
        ] {
            out.extend(word.to_be_bytes());
        }
    }
    out
}

prop_compose! {
    fn submits()(
        seqnum: u32, input: bool, number in 0u8..16, start_frame: u32, asap: bool, setup: [u8; 8],
        lengths in prop::collection::vec(0u32..300, 0..20), extra in 0u32..50, byte: u8,
    ) -> Submit {
        let mut offset = 0;
        let packets: Vec<Packet> = lengths.iter().map(|length| {
            let packet = Packet { offset, length: *length, actual: 0, status: -18 };
            offset += length;
            packet
        }).collect();
        let length = offset + extra;
        let data = if input { Vec::new() } else { vec![byte; length as usize] };
        Submit { seqnum, input, number, length, start_frame, asap, setup: SetupPacket(setup), data, packets }
    }
}

proptest! {
    #[test]
    fn submissions_are_read_as_written(list in prop::collection::vec(submits(), 1..5)) {
        let bytes: Vec<u8> = list.iter().flat_map(written).collect();
        let mut stream = bytes.as_slice();
        for submit in list {
            prop_assert_eq!(Command::read(&mut stream).unwrap(), Some(Command::Submit(submit)));
        }
        prop_assert_eq!(Command::read(&mut stream).unwrap(), None);
    }

    #[test]
    fn unlinks_are_read_as_written(seqnum: u32, victim: u32) {
        let mut bytes = [0; HEADER];
        for (at, word) in [(0, 2), (4, seqnum), (20, victim)] {
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        let read = Command::read(&mut bytes.as_slice()).unwrap();
        prop_assert_eq!(read, Some(Command::Unlink { seqnum, victim }));
    }

    #[test]
    fn a_message_cut_short_is_an_error(submit in submits(), cut in 1usize..HEADER) {
        let bytes = written(&submit);
        prop_assert!(Command::read(&mut &bytes[..bytes.len() - cut]).is_err());
    }

    #[test]
    fn garbage_is_never_taken_for_more_than_it_is(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some(Command::Submit(submit))) = Command::read(&mut bytes.as_slice()) {
            prop_assert!(submit.number < 16 && submit.data.len() <= bytes.len());
            for packet in &submit.packets {
                prop_assert!(u64::from(packet.offset) + u64::from(packet.length) <= u64::from(submit.length));
            }
        }
    }

    #[test]
    fn a_packet_outside_its_buffer_is_refused(submit in submits(), beyond in 1u32..=u32::MAX) {
        prop_assume!(!submit.packets.is_empty());
        let mut wrong = submit;
        wrong.packets[0].offset = wrong.length;
        wrong.packets[0].length = beyond;
        prop_assert!(Command::read(&mut written(&wrong).as_slice()).is_err());
    }

    #[test]
    fn answers_are_laid_out_as_vhci_rx_reads_them(
        seqnum: u32, data in prop::collection::vec(any::<u8>(), 0..100), start_frame: u32,
        statuses in prop::collection::vec(prop_oneof![Just(0), Just(-71), Just(-18)], 0..9),
    ) {
        let packets: Vec<Packet> =
            statuses.iter().map(|status| Packet { offset: 1, length: 2, actual: 3, status: *status }).collect();
        let done = Done { status: Status::Stall, actual: data.len() as u32, data: data.clone(), start_frame, packets };
        let bytes = Reply::Submit { seqnum, done }.encode();
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let errors = statuses.iter().filter(|status| **status != 0).count();
        let head = [3, seqnum, 0, 0, 0, -32i32 as u32, data.len() as u32, start_frame, statuses.len() as u32, errors as u32, 0, 0];
        for (n, expected) in head.into_iter().enumerate() {
            prop_assert_eq!(word(n * 4), expected, "word {}", n);
        }
        prop_assert_eq!(&bytes[HEADER..HEADER + data.len()], data.as_slice());
        let descriptors = HEADER + data.len();
        prop_assert_eq!(bytes.len(), descriptors + statuses.len() * Packet::SIZE);
        for (n, status) in statuses.iter().enumerate() {
            let at = descriptors + n * Packet::SIZE;
            prop_assert_eq!([word(at), word(at + 4), word(at + 8), word(at + 12)], [1, 2, 3, *status as u32]);
        }
    }
}

#[test]
fn no_packets_are_written_in_two_ways() {
    let submit = Submit {
        seqnum: 1,
        input: true,
        number: 1,
        length: 0,
        start_frame: 0,
        asap: false,
        setup: SetupPacket([0; 8]),
        data: Vec::new(),
        packets: Vec::new(),
    };
    let mut bytes = written(&submit);
    bytes[32..36].fill(0xff);
    assert_eq!(
        Command::read(&mut bytes.as_slice()).unwrap(),
        Some(Command::Submit(submit))
    );
}

#[test]
fn an_unlink_answer_carries_number_and_status() {
    let bytes = Reply::Unlink {
        seqnum: 9,
        status: Status::Unlinked,
    }
    .encode();
    assert_eq!(bytes.len(), HEADER);
    assert_eq!(bytes[..8], [0, 0, 0, 4, 0, 0, 0, 9]);
    assert_eq!(bytes[20..24], (-104i32).to_be_bytes());
}
