// SPDX-License-Identifier: GPL-2.0

//! A memory stick as far as an honest driver uses it.

use std::collections::VecDeque;
use usbif::Status;

const BLOCK: usize = 512;

/// Its device descriptor.
pub(super) const DESCRIPTOR: [u8; 18] = [
    18, 1, 0, 2, 0, 0, 0, 64, 0x25, 0x05, 0xa5, 0xa4, 0, 1, 1, 2, 3, 1,
];

const CONFIGURATION: [u8; 32] = [
    9, 2, 32, 0, 1, 1, 0, 0x80, 50, // configuration
    9, 4, 0, 0, 2, 8, 6, 80, 0, // interface: mass storage
    7, 5, 0x81, 2, 0, 2, 0, // bulk in
    7, 5, 0x02, 2, 0, 2, 0, // bulk out
];

pub(super) struct Stick {
    blocks: Vec<u8>,
    /// What it has to say on its bulk endpoint.
    answers: VecDeque<Vec<u8>>,
    /// Where the data of a WRITE goes, and the status that follows it.
    writing: Option<(usize, Vec<u8>)>,
}

impl Stick {
    pub(super) fn new() -> Self {
        Self {
            blocks: vec![0; 4200 * BLOCK],
            answers: VecDeque::new(),
            writing: None,
        }
    }

    pub(super) fn reset(&mut self) {
        self.answers.clear();
        self.writing = None;
    }

    /// A control transfer; returns incoming bytes.
    pub(super) fn control(&self, setup: &[u8; 8]) -> Result<Vec<u8>, Status> {
        match setup {
            [0x80, 6, _, 1, ..] => Ok(DESCRIPTOR.to_vec()),
            [0x80, 6, _, 2, ..] => Ok(CONFIGURATION.to_vec()),
            [0x00, 9, ..] => Ok(Vec::new()),
            _ => Err(Status::Stall),
        }
    }

    /// Outgoing data. What is no command is swallowed.
    pub(super) fn output(&mut self, data: &[u8]) {
        if let Some((at, status)) = self.writing.take() {
            if let Some(blocks) = self.blocks.get_mut(at..at + data.len()) {
                blocks.copy_from_slice(data);
            }
            self.answers.push_back(status);
            return;
        }
        if data.len() != 31 || !data.starts_with(b"USBC") {
            return;
        }
        let mut status = b"USBS".to_vec();
        status.extend(&data[4..8]);
        status.extend([0; 5]);
        let at = BLOCK * usize::from(u16::from_be_bytes([data[19], data[20]]));
        let length = BLOCK * usize::from(data[23]);
        match data[15] {
            0x28 => {
                let bytes = self.blocks.get(at..at + length).unwrap_or_default();
                self.answers.extend([bytes.to_vec(), status]);
            }
            0x2a => self.writing = Some((at, status)),
            _ => self.answers.push_back(status),
        }
    }

    /// What an incoming transfer gets, if the stick has something to say.
    pub(super) fn input(&mut self) -> Option<Vec<u8>> {
        self.answers.pop_front()
    }
}
