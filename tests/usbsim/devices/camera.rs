// SPDX-License-Identifier: GPL-2.0

//! A camera by the USB Video Class 1.1: one size, MJPEG and YUY2, isochronous,
//! with an alternate setting for each bandwidth.
//!
//! It sends a picture at each interval of bus time whether or not anybody
//! takes it: what the host misses is missing in the picture.

use usbif::SetupPacket;

use super::Options;
use crate::chapter9::Chapter9;
use crate::descriptor::{Configuration, Endpoint, Identity, ISOCHRONOUS_ASYNC, PLAIN};
use crate::device::{Answer, Device, Speed};
use crate::frame;

const CONTROL: [u8; 3] = [0x0e, 1, 0];
const STREAMING: [u8; 3] = [0x0e, 2, 0];
const COLLECTION: [u8; 3] = [0x0e, 3, 0];
const VIDEO: u8 = 0x81;
const STREAM_INTERFACE: u8 = 1;
/// Bytes of a packet in each alternate setting from 1; one packet in a frame.
const PAYLOADS: [u16; 4] = [128, 256, 512, 1020];
/// Bytes before the picture's in every packet.
const PACKET_HEADER: usize = 2;

/// Requests and the controls of a streaming interface (UVC 1.1, A.8 and A.9.7).
const SET_CUR: u8 = 0x01;
const GET_CUR: u8 = 0x81;
const GET_MIN: u8 = 0x82;
const GET_MAX: u8 = 0x83;
const GET_LEN: u8 = 0x85;
const GET_INFO: u8 = 0x86;
const GET_DEF: u8 = 0x87;
const PROBE: u16 = 0x0100;
const COMMIT: u16 = 0x0200;
/// Bytes of a probe since UVC 1.1.
const PROBE_SIZE: usize = 34;

/// Numbers are bFormatIndex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Mjpeg = 1,
    Yuy2 = 2,
}

impl Format {
    /// Frame intervals in units of 100 ns, the first by default.
    fn intervals(self) -> [u32; 2] {
        match self {
            Format::Mjpeg => [1_000_000, 400_000],
            Format::Yuy2 => [1_000_000, 500_000],
        }
    }

    fn size(self) -> u32 {
        match self {
            Format::Mjpeg => frame::JPEG,
            Format::Yuy2 => frame::YUY2,
        }
    }
}

/// What host and camera have agreed on.
#[derive(Clone, Copy, Debug)]
struct Mode {
    format: Format,
    interval: u32,
}

impl Mode {
    /// The mode nearest to what a host asks for.
    fn nearest(format: u8, interval: u32) -> Self {
        let format = if format == Format::Yuy2 as u8 {
            Format::Yuy2
        } else {
            Format::Mjpeg
        };
        let [usual, fast] = format.intervals();
        Mode {
            format,
            interval: if interval.abs_diff(fast) < interval.abs_diff(usual) {
                fast
            } else {
                usual
            },
        }
    }

    /// Bus frames, of a millisecond, from one picture to the next.
    fn frames(self) -> u32 {
        self.interval / 10_000
    }

    /// Bytes of a packet that get every picture across in its time.
    fn payload(self) -> u16 {
        let needed = self.format.size().div_ceil(self.frames()) + PACKET_HEADER as u32;
        let fits = PAYLOADS
            .into_iter()
            .find(|payload| u32::from(*payload) >= needed);
        fits.unwrap_or(PAYLOADS[PAYLOADS.len() - 1])
    }

    /// The answer to a probe.
    fn probe(self) -> Vec<u8> {
        let mut out = vec![1, 0, self.format as u8, 1];
        out.extend(self.interval.to_le_bytes());
        out.extend([0; 8]);
        out.extend(self.frames().to_le_bytes()[..2].iter());
        out.extend(self.format.size().to_le_bytes());
        out.extend(u32::from(self.payload()).to_le_bytes());
        out.resize(PROBE_SIZE, 0);
        out
    }
}

/// The picture on its way.
#[derive(Debug, Default)]
struct Stream {
    /// Bus frames since streaming began.
    time: u32,
    /// Number of the picture that is sent now or next.
    number: u32,
    rest: Vec<u8>,
    sending: bool,
}

/// A camera.
#[derive(Debug)]
pub struct Camera {
    speed: Speed,
    chapter9: Chapter9,
    probed: Mode,
    mode: Mode,
    stream: Stream,
}

impl Camera {
    /// Takes the options that [`super::USAGE`] tells.
    ///
    /// # Errors
    /// If one does not fit.
    pub fn new(options: &mut Options) -> Result<Self, String> {
        let speed = options.speed(&[Speed::Full, Speed::High], Speed::High)?;
        let identity = Identity {
            class: [0xef, 2, 1],
            vendor: 0x0525,
            product: 0xa4b0,
        };
        let mode = Mode::nearest(0, 0);
        Ok(Camera {
            speed,
            chapter9: Chapter9::new(speed, identity, "Simulated camera", configuration(speed)),
            probed: mode,
            mode,
            stream: Stream::default(),
        })
    }

    fn control(&mut self, setup: &SetupPacket, data: &[u8]) -> Answer {
        let probe = setup.value() == PROBE;
        match setup.request() {
            SET_CUR => {
                let (Some(format), Some(interval)) = (data.get(2), data.get(4..8)) else {
                    return Answer::Stall;
                };
                let interval = interval
                    .iter()
                    .rev()
                    .fold(0, |value, byte| (value << 8) | u32::from(*byte));
                self.probed = Mode::nearest(*format, interval);
                if !probe {
                    self.mode = self.probed;
                }
                Answer::Taken
            }
            GET_CUR if !probe => Answer::Send(self.mode.probe()),
            GET_CUR | GET_DEF => Answer::Send(self.probed.probe()),
            GET_MIN => Answer::Send(Mode::nearest(self.probed.format as u8, 0).probe()),
            GET_MAX => Answer::Send(Mode::nearest(self.probed.format as u8, u32::MAX).probe()),
            GET_LEN => Answer::Send(vec![PROBE_SIZE as u8, 0]),
            GET_INFO => Answer::Send(vec![3]),
            _ => Answer::Stall,
        }
    }

    fn picture(&self) -> Vec<u8> {
        match self.mode.format {
            Format::Yuy2 => frame::yuy2(self.stream.number),
            // An encoder that fails shows as a missing picture.
            Format::Mjpeg => frame::jpeg(self.stream.number).unwrap_or_default(),
        }
    }
}

impl Device for Camera {
    fn speed(&self) -> Speed {
        self.speed
    }

    fn chapter9(&mut self) -> &mut Chapter9 {
        &mut self.chapter9
    }

    fn request(&mut self, setup: &SetupPacket, data: &[u8]) -> Answer {
        let streaming = setup.index() == u16::from(STREAM_INTERFACE);
        match setup.value() {
            PROBE | COMMIT if streaming => self.control(setup, data),
            _ => Answer::Stall,
        }
    }

    fn selected(&mut self) {
        self.stream = Stream::default();
    }

    fn send_packet(&mut self, _endpoint: Endpoint, room: usize) -> Vec<u8> {
        let due = self.stream.time >= self.stream.number * self.mode.frames();
        if !self.stream.sending && due {
            self.stream.rest = self.picture();
            self.stream.sending = true;
        }
        self.stream.time += 1;
        const END_OF_HEADER: u8 = 0x80;
        const END_OF_FRAME: u8 = 2;
        let stream = &mut self.stream;
        // Between two pictures the bit is still that of the one before.
        let toggle = (stream.number + u32::from(!stream.sending)) as u8 & 1;
        let mut packet = vec![PACKET_HEADER as u8, END_OF_HEADER | toggle];
        let part = stream.rest.len().min(room - PACKET_HEADER);
        packet.extend(stream.rest.drain(..part));
        if stream.sending && stream.rest.is_empty() {
            packet[1] |= END_OF_FRAME;
            stream.number += 1;
            stream.sending = false;
        }
        packet
    }

    fn command(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["sent"] => Ok(format!("pictures={}\n", self.stream.number)),
            _ => Err("camera knows sent and stats".to_owned()),
        }
    }
}

fn configuration(speed: Speed) -> Configuration {
    let mut configuration = Configuration::new(PLAIN)
        .association(0, 2, COLLECTION)
        .setting(0, 0, CONTROL)
        // Header, UVC 1.1, 40 bytes with the terminals, one streaming interface.
        .class_interface(&[
            1,
            0x10,
            0x01,
            40,
            0,
            0,
            0x6c,
            0xdc,
            0x02,
            1,
            STREAM_INTERFACE,
        ])
        // Terminal 1: a camera, without controls.
        .class_interface(&[2, 1, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0])
        // Terminal 2: a USB stream, fed by terminal 1.
        .class_interface(&[3, 2, 0x01, 0x01, 0, 1, 0])
        .setting(STREAM_INTERFACE, 0, STREAMING);
    for body in formats() {
        configuration = configuration.class_interface(&body);
    }
    for (alternate, max_packet) in (1..).zip(PAYLOADS) {
        let interval = if speed == Speed::High { 4 } else { 1 };
        let endpoint = Endpoint {
            address: VIDEO,
            attributes: ISOCHRONOUS_ASYNC,
            max_packet,
            interval,
        };
        configuration = configuration
            .setting(STREAM_INTERFACE, alternate, STREAMING)
            .endpoint(endpoint, &[]);
    }
    configuration
}

/// The streaming interface's own descriptors (UVC 1.1, 3.9.2, and the payloads' documents).
fn formats() -> Vec<Vec<u8>> {
    const YUY2_GUID: &[u8; 16] = b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71";
    let mut yuy2 = vec![4, Format::Yuy2 as u8, 1];
    yuy2.extend(YUY2_GUID);
    yuy2.extend([16, 1, 0, 0, 0, 0]);
    let colours = vec![0x0d, 1, 1, 4];
    let mut all = vec![
        vec![6, Format::Mjpeg as u8, 1, 1, 1, 0, 0, 0, 0],
        picture(7, Format::Mjpeg),
        colours.clone(),
        yuy2,
        picture(5, Format::Yuy2),
        colours,
    ];
    let mut header = vec![1, 2, 0, 0, VIDEO, 0, 2, 0, 0, 0, 1, 0, 0];
    let total: usize = all.iter().chain([&header]).map(|body| body.len() + 2).sum();
    header[2..4].copy_from_slice(&(total as u16).to_le_bytes());
    all.insert(0, header);
    all
}

/// A frame descriptor of the given subtype.
fn picture(subtype: u8, format: Format) -> Vec<u8> {
    let [usual, fast] = format.intervals();
    let bits = |interval: u32| format.size() * 8 * (10_000_000 / interval);
    let mut out = vec![subtype, 1, 0];
    out.extend(frame::WIDTH.to_le_bytes());
    out.extend(frame::HEIGHT.to_le_bytes());
    for word in [bits(usual), bits(fast), format.size(), usual] {
        out.extend(word.to_le_bytes());
    }
    out.push(2);
    for interval in [fast, usual] {
        out.extend(interval.to_le_bytes());
    }
    out
}
