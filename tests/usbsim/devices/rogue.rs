// SPDX-License-Identifier: GPL-2.0

//! Devices that break rules: a corpus in which each breaks one, and a generator
//! that breaks several at once, the same ones for the same seed.
//!
//! All start from one device, a keyboard with a second interface that has every
//! kind of endpoint, so that usbhid binds to what is left of it and polls it.

use usbif::SetupPacket;

use super::keyboard::{hid, REPORT_DESCRIPTOR};
use super::Options;
use crate::chapter9::Chapter9;
use crate::descriptor::{
    Configuration, Endpoint, Identity, BULK, CONFIGURATION, DEVICE, ENDPOINT, INTERFACE, INTERRUPT,
    ISOCHRONOUS, PLAIN, STRING,
};
use crate::device::{Answer, Device, Speed};

const BOOT_KEYBOARD: [u8; 3] = [3, 1, 1];
const VENDOR_SPECIFIC: [u8; 3] = [0xff, 0, 0];
const HID: u8 = 0x21;
const REPORT: u8 = 0x22;
const GET_DESCRIPTOR: u8 = 6;
const IDENTITY: Identity = Identity {
    class: [0; 3],
    vendor: 0x0525,
    product: 0xa4bf,
};
/// Control transfers until the device is configured and its driver bound, and some more.
const STEPS: u32 = 14;

/// What the descriptors are before and after they are broken.
#[derive(Clone, Debug)]
struct Descriptors {
    device: Vec<u8>,
    configuration: Vec<u8>,
    string: Vec<u8>,
    report: Vec<u8>,
}

/// What the device does apart from its descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Conduct {
    /// What becomes of each control transfer from the n-th on, counted from 1.
    from: Option<(u32, Fault)>,
    /// What becomes of the n-th alone.
    at: Option<(u32, Fault)>,
    /// What becomes of transfers of other endpoints.
    endpoints: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Stall,
    Silence,
    Broken,
    Babble,
    Vanish,
    /// One byte less than there should be.
    Short,
    /// No byte at all.
    Empty,
    /// As many bytes as asked for, of no meaning.
    Noise,
}

const FAULTS: [(&str, Fault); 8] = [
    ("stall", Fault::Stall),
    ("silence", Fault::Silence),
    ("broken", Fault::Broken),
    ("babble", Fault::Babble),
    ("vanish", Fault::Vanish),
    ("short", Fault::Short),
    ("empty", Fault::Empty),
    ("noise", Fault::Noise),
];

/// A byte of no meaning.
fn noise(at: usize) -> u8 {
    (at * 151 + 7) as u8
}

impl Fault {
    /// The answer in place of the right one.
    fn answer(self, right: Answer, room: usize) -> Answer {
        match (self, right) {
            (Fault::Stall, _) => Answer::Stall,
            (Fault::Silence, _) => Answer::Later,
            (Fault::Broken, _) => Answer::Broken,
            (Fault::Babble, _) => Answer::Babble,
            (Fault::Vanish, _) => Answer::Vanish,
            (Fault::Noise, Answer::Send(_)) => Answer::Send((0..room).map(noise).collect()),
            (Fault::Empty, Answer::Send(_)) => Answer::Send(Vec::new()),
            (Fault::Short, Answer::Send(mut data)) => {
                data.pop();
                Answer::Send(data)
            }
            (_, right) => right,
        }
    }
}

/// Which bytes a rule of the corpus sets.
#[derive(Clone, Copy)]
enum Place {
    Device(usize),
    /// Offset within the n-th descriptor of a type in the configuration.
    Nth(u8, usize, usize),
    /// Offset within the configuration.
    Configuration(usize),
    Text(usize),
}
use Place::{Configuration as At, Device as Dev, Nth, Text};

/// Single broken bytes. Endpoints: 0 interrupt, 1 and 2 bulk, 3 and 4 isochronous.
const BYTES: &[(&str, Place, &[u8])] = &[
    ("device-length-0", Dev(0), &[0]),
    ("device-length-8", Dev(0), &[8]),
    ("device-length-255", Dev(0), &[255]),
    ("device-type-0", Dev(1), &[0]),
    ("device-usb-0", Dev(2), &[0, 0]),
    ("device-usb-9.99", Dev(2), &[0x99, 0x09]),
    ("device-is-a-hub", Dev(4), &[9, 0, 0]),
    ("max-packet0-0", Dev(7), &[0]),
    ("max-packet0-7", Dev(7), &[7]),
    ("max-packet0-255", Dev(7), &[255]),
    ("no-configurations", Dev(17), &[0]),
    ("255-configurations", Dev(17), &[255]),
    ("string-indexes-255", Dev(14), &[255, 255, 255]),
    ("configuration-length-0", At(0), &[0]),
    ("configuration-length-1", At(0), &[1]),
    ("configuration-length-255", At(0), &[255]),
    ("configuration-type-0", At(1), &[0]),
    ("configuration-total-0", At(2), &[0, 0]),
    ("configuration-total-8", At(2), &[8, 0]),
    ("configuration-total-9", At(2), &[9, 0]),
    ("configuration-total-20", At(2), &[20, 0]),
    ("configuration-total-65535", At(2), &[255, 255]),
    ("interfaces-0", At(4), &[0]),
    ("interfaces-33", At(4), &[33]),
    ("interfaces-255", At(4), &[255]),
    ("configuration-value-0", At(5), &[0]),
    ("max-power-255", At(8), &[255]),
    ("interface-length-0", Nth(INTERFACE, 0, 0), &[0]),
    ("interface-length-1", Nth(INTERFACE, 0, 0), &[1]),
    ("interface-length-3", Nth(INTERFACE, 0, 0), &[3]),
    ("interface-length-255", Nth(INTERFACE, 0, 0), &[255]),
    ("interface-number-255", Nth(INTERFACE, 0, 2), &[255]),
    ("interface-numbers-alike", Nth(INTERFACE, 1, 2), &[0]),
    ("alternate-setting-255", Nth(INTERFACE, 2, 3), &[255]),
    ("alternate-settings-alike", Nth(INTERFACE, 2, 3), &[0]),
    ("endpoints-0", Nth(INTERFACE, 0, 4), &[0]),
    ("endpoints-31", Nth(INTERFACE, 0, 4), &[31]),
    ("endpoints-255", Nth(INTERFACE, 0, 4), &[255]),
    ("class-is-a-hub", Nth(INTERFACE, 0, 5), &[9, 0, 0]),
    ("class-is-audio", Nth(INTERFACE, 0, 5), &[1, 1, 0]),
    ("class-is-video", Nth(INTERFACE, 0, 5), &[14, 1, 0]),
    ("class-is-storage", Nth(INTERFACE, 1, 5), &[8, 6, 0x50]),
    ("hid-length-0", Nth(HID, 0, 0), &[0]),
    ("hid-length-2", Nth(HID, 0, 0), &[2]),
    ("hid-descriptors-255", Nth(HID, 0, 5), &[255]),
    ("hid-report-length-0", Nth(HID, 0, 7), &[0, 0]),
    ("hid-report-length-65535", Nth(HID, 0, 7), &[255, 255]),
    ("endpoint-length-0", Nth(ENDPOINT, 0, 0), &[0]),
    ("endpoint-length-2", Nth(ENDPOINT, 0, 0), &[2]),
    ("endpoint-length-255", Nth(ENDPOINT, 0, 0), &[255]),
    ("endpoint-address-0", Nth(ENDPOINT, 0, 2), &[0]),
    ("endpoint-address-0x80", Nth(ENDPOINT, 0, 2), &[0x80]),
    ("endpoint-address-0xff", Nth(ENDPOINT, 0, 2), &[0xff]),
    ("endpoint-twice", Nth(ENDPOINT, 2, 2), &[0x82]),
    (
        "endpoint-of-another-interface",
        Nth(ENDPOINT, 1, 2),
        &[0x81],
    ),
    ("endpoint-is-control", Nth(ENDPOINT, 0, 3), &[0]),
    ("endpoint-attributes-255", Nth(ENDPOINT, 0, 3), &[255]),
    ("max-packet-0", Nth(ENDPOINT, 0, 4), &[0, 0]),
    ("max-packet-1", Nth(ENDPOINT, 0, 4), &[1, 0]),
    ("max-packet-65535", Nth(ENDPOINT, 0, 4), &[255, 255]),
    ("bulk-max-packet-0", Nth(ENDPOINT, 1, 4), &[0, 0]),
    ("bulk-max-packet-65535", Nth(ENDPOINT, 1, 4), &[255, 255]),
    ("iso-max-packet-0", Nth(ENDPOINT, 3, 4), &[0, 0]),
    ("iso-max-packet-65535", Nth(ENDPOINT, 3, 4), &[255, 255]),
    ("interval-0", Nth(ENDPOINT, 0, 6), &[0]),
    ("interval-255", Nth(ENDPOINT, 0, 6), &[255]),
    ("iso-interval-0", Nth(ENDPOINT, 3, 6), &[0]),
    ("iso-interval-255", Nth(ENDPOINT, 3, 6), &[255]),
    ("string-length-0", Text(0), &[0]),
    ("string-length-1", Text(0), &[1]),
    ("string-length-3", Text(0), &[3]),
    ("string-length-255", Text(0), &[255]),
    ("string-type-0", Text(1), &[0]),
    ("string-half-a-surrogate", Text(2), &[0x00, 0xd8]),
];

/// Names of every device of the corpus.
pub fn names() -> impl Iterator<Item = String> {
    let bytes = BYTES.iter().map(|(name, ..)| (*name).to_owned());
    let whole = [
        "configuration-cut",
        "configuration-trailing",
        "report-noise",
    ]
    .map(str::to_owned);
    let all = FAULTS.iter().map(|(name, _)| format!("{name}-all"));
    let endpoints = FAULTS.iter().map(|(name, _)| format!("{name}-endpoints"));
    let quick = FAULTS.iter().filter(|(_, fault)| *fault != Fault::Silence);
    let steps =
        quick.flat_map(|(name, _)| (1..=STEPS).map(move |step| format!("{name}-step-{step}")));
    bytes.chain(whole).chain(all).chain(endpoints).chain(steps)
}

fn right(speed: Speed) -> (Descriptors, Chapter9) {
    let small = speed != Speed::High;
    let endpoint = |address, attributes, max_packet| Endpoint {
        address,
        attributes,
        max_packet,
        interval: 4,
    };
    let bulk = if small { 64 } else { 512 };
    let configuration = Configuration::new(PLAIN)
        .setting(0, 0, BOOT_KEYBOARD)
        .class(HID, &hid(REPORT_DESCRIPTOR.len() as u16)[2..])
        .endpoint(endpoint(0x81, INTERRUPT, 8), &[])
        .setting(1, 0, VENDOR_SPECIFIC)
        .endpoint(endpoint(0x82, BULK, bulk), &[])
        .endpoint(endpoint(0x02, BULK, bulk), &[])
        .setting(1, 1, VENDOR_SPECIFIC)
        .endpoint(endpoint(0x83, ISOCHRONOUS, 512), &[])
        .endpoint(endpoint(0x03, ISOCHRONOUS, 512), &[]);
    let max_packet0 = if speed == Speed::Low { 8 } else { 64 };
    let descriptors = Descriptors {
        device: IDENTITY.descriptor(max_packet0, 1),
        configuration: configuration.bytes().to_vec(),
        string: crate::descriptor::string("rogue"),
        report: REPORT_DESCRIPTOR.to_vec(),
    };
    (
        descriptors,
        Chapter9::new(speed, IDENTITY, "Rogue", configuration),
    )
}

impl Descriptors {
    /// Where each descriptor of the configuration starts; only what is whole is looked at.
    fn starts(&self) -> Vec<usize> {
        let mut starts = Vec::new();
        let mut at = 0;
        while let Some(length) = self.configuration.get(at).filter(|length| **length > 1) {
            starts.push(at);
            at += usize::from(*length);
        }
        starts
    }

    fn put(&mut self, place: Place, bytes: &[u8]) {
        let (all, at) = match place {
            Dev(at) => (&mut self.device, at),
            At(at) => (&mut self.configuration, at),
            Text(at) => (&mut self.string, at),
            Nth(kind, which, within) => {
                let starts = self.starts();
                let mut found = starts
                    .iter()
                    .filter(|at| self.configuration.get(**at + 1) == Some(&kind));
                let Some(start) = found.nth(which).copied() else {
                    return;
                };
                (&mut self.configuration, start + within)
            }
        };
        if let Some(target) = all.get_mut(at..at + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    }

    /// Breaks something at random.
    fn mutate(&mut self, random: &mut fastrand::Rng) {
        const TELLING: [u8; 14] = [0, 1, 2, 3, 7, 8, 9, 16, 31, 32, 0x7f, 0x80, 0xfe, 0xff];
        let value = if random.bool() {
            TELLING[random.usize(..TELLING.len())]
        } else {
            random.u8(..)
        };
        let starts = self.starts();
        let (Some(from), Some(to)) = (
            random.choice(&starts).copied(),
            random.choice(&starts).copied(),
        ) else {
            return;
        };
        let length = usize::from(self.configuration[from]).min(self.configuration.len() - from);
        match random.u8(..10) {
            0 => {
                // Vendor and product stay, so that logs tell what this was.
                let places = [0, 1, 2, 3, 4, 5, 6, 7, 14, 15, 16, 17];
                self.device[places[random.usize(..places.len())]] = value;
            }
            1..=4 => self.configuration[from + random.usize(..length)] = value,
            5 => {
                let copy = self.configuration[from..from + length].to_vec();
                self.configuration.splice(to..to, copy);
            }
            6 => drop(self.configuration.drain(from..from + length)),
            7 => self
                .configuration
                .truncate(9 + random.usize(..self.configuration.len())),
            8 => {
                let at = random.usize(..self.string.len());
                self.string[at] = value;
            }
            _ => {
                let at = random.usize(..self.report.len());
                self.report[at] = value;
            }
        }
        // Often the total is what it should be, so that a parser gets beyond it.
        if self.configuration.len() >= 9 && random.u8(..4) > 0 {
            let total = (self.configuration.len() as u16).to_le_bytes();
            self.configuration[2..4].copy_from_slice(&total);
        }
    }
}

/// A device that breaks rules.
#[derive(Debug)]
pub struct Rogue {
    speed: Speed,
    /// What it is at heart; its endpoints are found here.
    chapter9: Chapter9,
    descriptors: Descriptors,
    conduct: Conduct,
    step: u32,
}

impl Rogue {
    /// Takes the options that [`super::USAGE`] tells.
    ///
    /// # Errors
    /// If the name is not in the corpus, or an option does not fit.
    pub fn new(options: &mut Options) -> Result<Self, String> {
        let speed = options.speed(&[Speed::Low, Speed::Full, Speed::High], Speed::Full)?;
        let (mut descriptors, chapter9) = right(speed);
        let mut conduct = Conduct::default();
        match (options.take("name"), options.take("seed")) {
            (Some(name), None) => break_one(&name, &mut descriptors, &mut conduct)?,
            (None, Some(seed)) => {
                let seed = seed
                    .parse()
                    .map_err(|error| format!("seed={seed}: {error}"))?;
                break_some(seed, &mut descriptors, &mut conduct);
            }
            _ => return Err("a rogue has either name= or seed=".to_owned()),
        }
        Ok(Rogue {
            speed,
            chapter9,
            descriptors,
            conduct,
            step: 0,
        })
    }

    fn descriptor(&self, setup: &SetupPacket) -> Option<Vec<u8>> {
        let [index, kind] = setup.value().to_le_bytes();
        match (kind, index) {
            (DEVICE, _) => Some(self.descriptors.device.clone()),
            (CONFIGURATION, _) => Some(self.descriptors.configuration.clone()),
            (STRING, 0) => Some(vec![4, STRING, 0x09, 0x04]),
            (STRING, _) => Some(self.descriptors.string.clone()),
            (REPORT, _) => Some(self.descriptors.report.clone()),
            _ => None,
        }
    }
}

/// Breaks the one rule that a name of the corpus stands for.
fn break_one(
    name: &str,
    descriptors: &mut Descriptors,
    conduct: &mut Conduct,
) -> Result<(), String> {
    if let Some((_, place, bytes)) = BYTES.iter().find(|(known, ..)| *known == name) {
        descriptors.put(*place, bytes);
        return Ok(());
    }
    let fault = |word: &str| {
        FAULTS
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, fault)| *fault)
    };
    match name.split('-').collect::<Vec<_>>().as_slice() {
        ["configuration", "cut"] => descriptors.configuration.truncate(22),
        ["configuration", "trailing"] => {
            descriptors.configuration.push(7);
            let total = (descriptors.configuration.len() as u16).to_le_bytes();
            descriptors.put(At(2), &total);
        }
        ["report", "noise"] => {
            descriptors.report = (0..descriptors.report.len()).map(noise).collect()
        }
        [word, "all"] if fault(word).is_some() => {
            conduct.from = fault(word).map(|fault| (1, fault))
        }
        [word, "endpoints"] if fault(word).is_some() => conduct.endpoints = fault(word),
        [word, "step", step] if fault(word).is_some() => {
            let step = step.parse().map_err(|error| format!("{name}: {error}"))?;
            conduct.at = fault(word).map(|fault| (step, fault));
        }
        _ => return Err(format!("no rogue {name}")),
    }
    Ok(())
}

/// Breaks one to six rules, as the seed says.
fn break_some(seed: u64, descriptors: &mut Descriptors, conduct: &mut Conduct) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..random.u8(1..=6) {
        descriptors.mutate(&mut random);
    }
    let fault = |random: &mut fastrand::Rng| FAULTS[random.usize(..FAULTS.len())].1;
    match random.u8(..8) {
        0 => conduct.at = Some((random.u32(1..=STEPS), fault(&mut random))),
        1 => conduct.endpoints = Some(fault(&mut random)),
        _ => (),
    }
}

impl Device for Rogue {
    fn speed(&self) -> Speed {
        self.speed
    }

    fn chapter9(&mut self) -> &mut Chapter9 {
        &mut self.chapter9
    }

    fn control(&mut self, setup: &SetupPacket, _data: &[u8]) -> Answer {
        self.step += 1;
        let right = match (setup.request_type() & 0x80, setup.request()) {
            (0x80, GET_DESCRIPTOR) => self.descriptor(setup).map_or(Answer::Stall, Answer::Send),
            // Selecting works with whatever the descriptors seem to offer.
            (0x80, _) => self.chapter9.request(setup).unwrap_or(Answer::Stall),
            _ => {
                self.chapter9.request(setup);
                Answer::Taken
            }
        };
        let at = self.conduct.at.filter(|(step, _)| *step == self.step);
        let from = self.conduct.from.filter(|(step, _)| *step <= self.step);
        match at.or(from) {
            Some((_, fault)) => fault.answer(right, usize::from(setup.length())),
            None => right,
        }
    }

    fn send(&mut self, _endpoint: Endpoint, room: usize) -> Answer {
        match self.conduct.endpoints {
            Some(fault) => fault.answer(Answer::Send(vec![0; room]), room),
            None => Answer::Later,
        }
    }

    fn take(&mut self, _endpoint: Endpoint, _data: &[u8]) -> Answer {
        self.conduct
            .endpoints
            .map_or(Answer::Taken, |fault| fault.answer(Answer::Taken, 0))
    }

    fn command(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["steps"] => Ok(format!("control={}\n", self.step)),
            _ => Err("rogue knows steps and stats".to_owned()),
        }
    }
}
