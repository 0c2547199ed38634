// SPDX-License-Identifier: GPL-2.0

//! Whole devices over a socket pair, with a kernel's part played by the test.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use usbsim::device::Device;
use usbsim::devices::{self, rogue, Options};
use usbsim::protocol::{Packet, HEADER};
use usbsim::session::{listen, Session};

const ASAP: u32 = 2;
const STALL: i32 = -32;
const UNLINKED: i32 = -104;

fn device(name: &str, options: &[&str]) -> Box<dyn Device> {
    let mut options = Options::parse(options).unwrap();
    let device = devices::make(name, &mut options).unwrap();
    options.finish().unwrap();
    device
}

struct Kernel {
    stream: UnixStream,
    served: Option<JoinHandle<()>>,
    seqnum: u32,
}

/// An answer: number, status, start frame, data as packed, actual length and status of packets.
#[derive(Debug)]
struct Answer {
    command: u32,
    seqnum: u32,
    status: i32,
    start_frame: u32,
    data: Vec<u8>,
    packets: Vec<(u32, i32)>,
}

impl Kernel {
    fn new(device: Box<dyn Device>) -> Self {
        Kernel::slow(device, 1)
    }

    /// With a bus that leaves the test, on a busy machine, `scale` times the time.
    fn slow(device: Box<dyn Device>, scale: u32) -> Self {
        let (ours, devices) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let (sender, events) = Session::events();
        listen(&devices, sender).unwrap();
        let served = thread::spawn(move || {
            Session::new(device, devices, scale, false)
                .run(&events)
                .unwrap()
        });
        Kernel {
            stream: ours,
            served: Some(served),
            seqnum: 0,
        }
    }

    fn write(&mut self, words: &[u32], setup: [u8; 8], data: &[u8], packets: &[Packet]) {
        let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        out.resize(HEADER - 8, 0);
        out.extend(setup);
        out.extend(data);
        for packet in packets {
            out.extend(
                [packet.offset, packet.length, 0, 0]
                    .iter()
                    .flat_map(|word| word.to_be_bytes()),
            );
        }
        self.stream.write_all(&out).unwrap();
    }

    fn submit(
        &mut self,
        endpoint: u8,
        length: u32,
        setup: [u8; 8],
        data: &[u8],
        packets: &[Packet],
    ) -> u32 {
        self.seqnum += 1;
        let number = u32::from(endpoint & 15);
        let input = u32::from(endpoint >> 7);
        let words = [
            1,
            self.seqnum,
            1,
            input,
            number,
            ASAP,
            length,
            0,
            packets.len() as u32,
            1,
        ];
        self.write(&words, setup, data, packets);
        self.seqnum
    }

    fn unlink(&mut self, victim: u32) -> u32 {
        self.seqnum += 1;
        self.write(&[2, self.seqnum, 1, 0, 0, victim], [0; 8], &[], &[]);
        self.seqnum
    }

    /// Reads an answer to an IN transfer; `input` is false for what carries no data.
    fn answer(&mut self, input: bool) -> Answer {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).unwrap();
        let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let submit = word(0) == 3;
        let mut data = vec![
            0;
            if input && submit {
                word(24) as usize
            } else {
                0
            }
        ];
        self.stream.read_exact(&mut data).unwrap();
        let mut packets = Vec::new();
        for _ in 0..if submit { word(32) } else { 0 } {
            let mut bytes = [0; 16];
            self.stream.read_exact(&mut bytes).unwrap();
            let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            packets.push((word(8), word(12) as i32));
        }
        Answer {
            command: word(0),
            seqnum: word(4),
            status: word(20) as i32,
            start_frame: word(28),
            data,
            packets,
        }
    }

    fn control(&mut self, setup: [u8; 8]) -> Answer {
        let input = setup[0] & 0x80 != 0;
        let length = u32::from(setup[6]) | u32::from(setup[7]) << 8;
        self.submit(if input { 0x80 } else { 0 }, length, setup, &[], &[]);
        self.answer(input)
    }

    fn configure(&mut self, interface: u8, alternate: u8) {
        assert_eq!(self.control([0, 9, 1, 0, 0, 0, 0, 0]).status, 0);
        assert_eq!(
            self.control([1, 11, alternate, 0, interface, 0, 0, 0])
                .status,
            0
        );
    }

    fn stream_in(&mut self, endpoint: u8, count: u32, length: u32) -> u32 {
        let packets: Vec<Packet> = (0..count)
            .map(|n| Packet {
                offset: n * length,
                length,
                actual: 0,
                status: 0,
            })
            .collect();
        self.submit(endpoint, count * length, [0; 8], &[], &packets)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Both).unwrap();
        if let Some(served) = self.served.take() {
            assert!(served.join().is_ok(), "the device's thread has failed");
        }
    }
}

#[test]
fn isochronous_packets_come_in_order_and_without_a_gap() {
    let mut kernel = Kernel::new(device("zero", &["pattern=2", "interval=1", "maxpacket=64"]));
    kernel.configure(0, 1);
    const URBS: u32 = 40;
    for _ in 0..4 {
        kernel.stream_in(0x82, 8, 64);
    }
    let (mut number, mut frame) = (0, None);
    for urb in 0..URBS {
        let answer = kernel.answer(true);
        assert_eq!(
            (answer.status, answer.packets.as_slice()),
            (0, [(64, 0); 8].as_slice())
        );
        let expected = frame.unwrap_or(answer.start_frame);
        // Slots that this test itself was late for are skipped, in data and time alike.
        let skipped = answer.start_frame - expected;
        for packet in answer.data.chunks(64) {
            let got = u32::from_le_bytes(packet[..4].try_into().unwrap());
            assert_eq!(got, number + skipped);
            number += 1;
        }
        number += skipped;
        frame = Some(answer.start_frame + 8);
        if urb + 4 < URBS {
            kernel.stream_in(0x82, 8, 64);
        }
    }
}

#[test]
fn a_microphone_counts() {
    let mut kernel = Kernel::new(device("microphone", &["rate=44100"]));
    kernel.configure(1, 1);
    for _ in 0..2 {
        kernel.stream_in(0x81, 100, 180);
    }
    let data: Vec<u8> = (0..2).flat_map(|_| kernel.answer(true).data).collect();
    let samples: Vec<u32> = data
        .chunks(4)
        .map(|sample| u32::from_le_bytes(sample.try_into().unwrap()))
        .collect();
    assert_eq!(samples, (0..8820).collect::<Vec<u32>>());
}

#[test]
fn a_transfer_is_taken_back_once_and_the_others_stay() {
    let mut kernel = Kernel::new(device("keyboard", &[]));
    kernel.configure(0, 0);
    let first = kernel.submit(0x81, 8, [0; 8], &[], &[]);
    let second = kernel.submit(0x81, 8, [0; 8], &[], &[]);
    for status in [UNLINKED, 0] {
        let seqnum = kernel.unlink(first);
        let answer = kernel.answer(true);
        assert_eq!(
            (answer.command, answer.seqnum, answer.status),
            (4, seqnum, status)
        );
    }
    kernel.unlink(second);
    assert_eq!(kernel.answer(true).status, UNLINKED);
}

#[test]
fn an_unlink_that_overtakes_its_transfer_takes_it_back() {
    let mut kernel = Kernel::new(device("zero", &[]));
    kernel.configure(0, 0);
    let unlink = kernel.unlink(kernel.seqnum + 2);
    let victim = kernel.submit(0x81, 512, [0; 8], &[], &[]);
    assert_eq!(victim, unlink + 1);
    let answer = kernel.answer(true);
    assert_eq!(
        (answer.command, answer.seqnum, answer.status),
        (4, unlink, UNLINKED)
    );
    let next = kernel.submit(0x81, 512, [0; 8], &[], &[]);
    let answer = kernel.answer(true);
    assert_eq!(
        (answer.command, answer.seqnum, answer.data.len()),
        (3, next, 512)
    );
}

#[test]
fn an_echo_waits_for_what_it_is_to_send_and_for_room() {
    let mut kernel = Kernel::new(device("echo", &[]));
    kernel.configure(0, 0);
    let read = kernel.submit(0x82, 512, [0; 8], &[], &[]);
    let write = kernel.submit(0x02, 3, [0; 8], &[1, 2, 3], &[]);
    assert_eq!(kernel.answer(false).seqnum, write);
    let answer = kernel.answer(true);
    assert_eq!((answer.seqnum, answer.data), (read, vec![1, 2, 3]));
    // Four are kept; the fifth goes when the first is read. The other pairs do not mind.
    let writes: Vec<u32> = (1..=5)
        .map(|n| kernel.submit(0x03, 1, [0; 8], &[n], &[]))
        .collect();
    for write in &writes[..4] {
        assert_eq!(kernel.answer(false).seqnum, *write);
    }
    let other = kernel.submit(0x01, 1, [0; 8], &[9], &[]);
    assert_eq!(kernel.answer(false).seqnum, other);
    let read = kernel.submit(0x83, 512, [0; 8], &[], &[]);
    let answer = kernel.answer(true);
    assert_eq!((answer.seqnum, answer.data), (read, vec![1]));
    assert_eq!(kernel.answer(false).seqnum, writes[4]);
}

#[test]
fn a_halted_endpoint_stalls_until_it_is_cleared() {
    let mut kernel = Kernel::new(device("zero", &[]));
    kernel.configure(0, 0);
    for (request, status) in [(3, STALL), (1, 0)] {
        assert_eq!(kernel.control([2, request, 0, 0, 0x81, 0, 0, 0]).status, 0);
        kernel.submit(0x81, 512, [0; 8], &[], &[]);
        assert_eq!(kernel.answer(true).status, status);
    }
}

/// Requests that a driver has queued for pictures. What comes while there is none is lost, as on
/// a wire; these last for two seconds of a clock that is eight times slow, for a
/// busy machine may not let us queue the next ones before.
const QUEUED: usize = 64;

/// Reads pictures as a UVC driver does; returns their numbers.
fn pictures(format: u8, payload: u32, alternate: u8, count: usize) -> Vec<u32> {
    let mut kernel = Kernel::slow(device("camera", &[]), 8);
    kernel.configure(1, 0);
    let mut probe = [0; 34];
    (probe[2], probe[3]) = (format, 1);
    probe[4..8].copy_from_slice(&400_000u32.to_le_bytes());
    for control in [1, 2] {
        kernel.submit(0, 34, [0x21, 1, 0, control, 1, 0, 34, 0], &probe, &[]);
        assert_eq!(kernel.answer(false).status, 0);
    }
    let answer = kernel.control([0xa1, 0x81, 0, 2, 1, 0, 34, 0]);
    assert_eq!(
        u32::from_le_bytes(answer.data[22..26].try_into().unwrap()),
        payload
    );
    kernel.control([1, 11, alternate, 0, 1, 0, 0, 0]);
    for _ in 0..QUEUED {
        kernel.stream_in(0x81, 32, payload);
    }
    let (mut numbers, mut picture) = (Vec::new(), Vec::new());
    while numbers.len() < count {
        let answer = kernel.answer(true);
        let mut at = 0;
        for (actual, status) in answer.packets {
            let packet = &answer.data[at..at + actual as usize];
            at += actual as usize;
            assert_eq!(status, 0);
            picture.extend(&packet[usize::from(packet[0])..]);
            if packet[1] & 2 != 0 {
                numbers.push(checked(&picture));
                picture.clear();
            }
        }
        kernel.stream_in(0x81, 32, payload);
    }
    numbers
}

/// The number of a picture that is whole.
fn checked(picture: &[u8]) -> u32 {
    let at = if picture.starts_with(&[0xff, 0xd8]) {
        6
    } else {
        0
    };
    let word = |n: usize| u32::from_le_bytes(picture[at + n..at + n + 4].try_into().unwrap());
    assert_eq!(&picture[at..at + 4], b"USIM");
    assert_eq!(word(8) as usize, picture.len());
    assert_eq!(word(12), crc32fast::hash(&picture[at + 16..]));
    word(4)
}

#[test]
fn a_camera_sends_whole_pictures_in_order() {
    assert_eq!(pictures(1, 512, 3, 12), (0..12).collect::<Vec<u32>>());
    assert_eq!(pictures(2, 1020, 4, 12), (0..12).collect::<Vec<u32>>());
}

/// Every control request of an enumeration, to every rogue: none may end its thread badly.
#[test]
fn rogues_answer_or_vanish() {
    let setup = |words: [u8; 8]| usbif::SetupPacket(words);
    let requests = [
        [0x80, 6, 0, 1, 0, 0, 64, 0],
        [0x80, 6, 0, 1, 0, 0, 18, 0],
        [0x80, 6, 0, 2, 0, 0, 9, 0],
        [0x80, 6, 0, 2, 0, 0, 255, 255],
        [0x80, 6, 1, 3, 9, 4, 255, 0],
        [0, 9, 1, 0, 0, 0, 0, 0],
        [0x81, 6, 0, 0x22, 0, 0, 65, 0],
        [1, 11, 1, 0, 1, 0, 0, 0],
        [0x21, 10, 0, 0, 0, 0, 0, 0],
    ];
    let names = rogue::names().map(|name| format!("name={name}"));
    let seeds = (0..5000).map(|seed| format!("seed={seed}"));
    for option in names.chain(seeds) {
        let told = |option: &str| -> Vec<usbsim::device::Answer> {
            let mut rogue = device("rogue", &[option, "speed=high"]);
            requests
                .iter()
                .map(|words| rogue.control(&setup(*words), &[]))
                .collect()
        };
        assert_eq!(
            told(&option),
            told(&option),
            "{option} is not the same twice"
        );
    }
}
