// SPDX-License-Identifier: GPL-2.0

//! A microphone by the USB Audio Class 1.0 that counts.
//!
//! Left and right sample of 16 bits are the low and the high half of one number
//! of 32, one more each time: what is lost, repeated or out of order shows, and
//! time goes on whether or not anybody listens.

use super::Options;
use crate::chapter9::Chapter9;
use crate::descriptor::{Configuration, Endpoint, Identity, CS_ENDPOINT, ISOCHRONOUS_ASYNC, PLAIN};
use crate::device::{Device, Speed};

const CONTROL: [u8; 3] = [1, 1, 0];
const STREAMING: [u8; 3] = [1, 2, 0];
const AUDIO: u8 = 0x81;
/// Bytes of a sample of both channels.
const SAMPLE: u32 = 4;

/// A microphone.
#[derive(Debug)]
pub struct Microphone {
    speed: Speed,
    chapter9: Chapter9,
    rate: u32,
    /// Packets, of a millisecond each, since streaming began.
    packets: u64,
    /// Samples sent since it was plugged.
    sent: u32,
}

impl Microphone {
    /// Takes the options that [`super::USAGE`] tells.
    ///
    /// # Errors
    /// If one does not fit.
    pub fn new(options: &mut Options) -> Result<Self, String> {
        let speed = options.speed(&[Speed::Full, Speed::High], Speed::Full)?;
        let rate: u32 = options.number("rate", 48_000)?;
        if !(8_000..=96_000).contains(&rate) {
            return Err("rates are 8000 to 96000".to_owned());
        }
        let identity = Identity {
            class: [0; 3],
            vendor: 0x0525,
            product: 0xa4b1,
        };
        let configuration = configuration(speed, rate);
        Ok(Microphone {
            speed,
            chapter9: Chapter9::new(speed, identity, "Simulated microphone", configuration),
            rate,
            packets: 0,
            sent: 0,
        })
    }
}

impl Device for Microphone {
    fn speed(&self) -> Speed {
        self.speed
    }

    fn chapter9(&mut self) -> &mut Chapter9 {
        &mut self.chapter9
    }

    fn selected(&mut self) {
        self.packets = 0;
    }

    fn send_packet(&mut self, _endpoint: Endpoint, _room: usize) -> Vec<u8> {
        let due = |packets: u64| packets * u64::from(self.rate) / 1000;
        let count = due(self.packets + 1) - due(self.packets);
        self.packets += 1;
        let first = self.sent;
        self.sent = first.wrapping_add(count as u32);
        (0..count as u32)
            .flat_map(|n| first.wrapping_add(n).to_le_bytes())
            .collect()
    }

    fn command(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["sent"] => Ok(format!("samples={}\n", self.sent)),
            _ => Err("microphone knows sent and stats".to_owned()),
        }
    }
}

fn configuration(speed: Speed, rate: u32) -> Configuration {
    let [low, middle, high, _] = rate.to_le_bytes();
    let max_packet = ((rate.div_ceil(1000) + 1) * SAMPLE) as u16;
    let interval = if speed == Speed::High { 4 } else { 1 };
    Configuration::new(PLAIN)
        .setting(0, 0, CONTROL)
        // Header, ADC 1.0, 30 bytes with the terminals, streaming interface 1.
        .class_interface(&[1, 0x00, 0x01, 30, 0, 1, 1])
        // Terminal 1: a microphone, left and right.
        .class_interface(&[2, 1, 0x01, 0x02, 0, 2, 3, 0, 0, 0])
        // Terminal 2: a USB stream, fed by terminal 1.
        .class_interface(&[3, 2, 0x01, 0x01, 0, 1, 0])
        .setting(1, 0, STREAMING)
        .setting(1, 1, STREAMING)
        // Terminal 2, a delay of one frame, PCM.
        .class_interface(&[1, 2, 1, 1, 0])
        // Type I, two channels, 2 bytes of 16 bits, one rate.
        .class_interface(&[2, 1, 2, 2, 16, 1, low, middle, high])
        .endpoint(
            Endpoint {
                address: AUDIO,
                attributes: ISOCHRONOUS_ASYNC,
                max_packet,
                interval,
            },
            &[0, 0],
        )
        .class(CS_ENDPOINT, &[1, 0, 0, 0, 0])
}
