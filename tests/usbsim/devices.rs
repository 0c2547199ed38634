// SPDX-License-Identifier: GPL-2.0

//! The devices, and how their options are given.

pub mod camera;
pub mod echo;
pub mod keyboard;
pub mod microphone;
pub mod rogue;
pub mod zero;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::device::{Device, Speed};

/// What `usbsim devices` prints.
pub const USAGE: &str = "\
zero        source and sink for the kernel's usbtest driver, 0525:a4a0; alternate
            setting 1 has isochronous endpoints
            speed=full|high pattern=0|1|2 (2: an isochronous packet starts with
            its number, 32 bits) interval=N (bInterval) maxpacket=N mult=1..3
            tell: sink (packets and bytes taken that were not the pattern)
camera      UVC 1.1, 160x120, MJPEG and YUY2; frames carry number and checksum
            speed=full|high
            tell: sent (pictures)
microphone  UAC1, two channels of 16 bits that count together as one number of 32
            speed=full|high rate=N (samples a second)
            tell: sent (samples)
keyboard    HID boot keyboard at low speed that may wake its host
            tell: press USAGE (HID usage number; the key is released after it)
                  wakeup (whether the host has allowed it)
echo        what is written to OUT endpoint 1, 2 (bulk) or 3 (interrupt) is read from
            the IN endpoint of the same number, transfer by transfer; reads wait
            for writes, and writes for reads when four have not been read
rogue       breaks rules
            name=NAME (see usbsim corpus) or seed=N; speed=low|full|high
            tell: steps (control transfers so far)
";

/// NAME=VALUE words; each is used once.
#[derive(Debug)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Splits the words.
    ///
    /// # Errors
    /// If one has no `=`.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let split = |word: &&str| match word.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("{word} is no NAME=VALUE")),
        };
        words
            .iter()
            .map(split)
            .collect::<Result<_, _>>()
            .map(Options)
    }

    /// Takes an option out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Takes a number out.
    ///
    /// # Errors
    /// If it is none, or out of the type's range.
    pub fn number<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, String>
    where
        T::Err: Display,
    {
        match self.take(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|error| format!("{name}={text}: {error}")),
        }
    }

    /// Takes a speed out.
    ///
    /// # Errors
    /// If it is none of those allowed.
    pub fn speed(&mut self, allowed: &[Speed], default: Speed) -> Result<Speed, String> {
        let Some(name) = self.take("speed") else {
            return Ok(default);
        };
        Speed::named(&name)
            .filter(|speed| allowed.contains(speed))
            .ok_or(format!("no speed={name} here"))
    }

    /// Checks that every option was used.
    ///
    /// # Errors
    /// Names one that was not.
    pub fn finish(self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("no option {name} here")),
        }
    }
}

/// Makes a device by name.
///
/// # Errors
/// If there is none, or an option does not fit.
pub fn make(name: &str, options: &mut Options) -> Result<Box<dyn Device>, String> {
    Ok(match name {
        "zero" => Box::new(zero::Zero::new(options)?),
        "camera" => Box::new(camera::Camera::new(options)?),
        "microphone" => Box::new(microphone::Microphone::new(options)?),
        "keyboard" => Box::new(keyboard::Keyboard::new()),
        "echo" => Box::new(echo::Echo::new()),
        "rogue" => Box::new(rogue::Rogue::new(options)?),
        _ => return Err(format!("no device {name}")),
    })
}
