// SPDX-License-Identifier: GPL-2.0

//! What was submitted to one device that echoes, what has come back, and whether
//! the one follows from the other.
//!
//! Each URB comes back once, with a status that somebody has asked for. Each
//! message that a write has moved is read once, whole, and in the order of the
//! writes; what a write has not moved is never read. A read or write that is
//! taken back may have moved its data nevertheless.

use crate::message;
use crate::usbfs::Back;
use crate::Result;

const ENOENT: i32 = -2;
const EREMOTEIO: i32 = -121;

/// Pairs of endpoints of a device.
pub(crate) const PAIRS: usize = 3;

/// What a URB is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Read up to `room` bytes from a pair of endpoints.
    Read {
        pair: usize,
        room: usize,
        short_not_ok: bool,
    },
    /// Write a message of that length.
    Write { pair: usize, length: usize },
    /// Read the device descriptor.
    Descriptor,
}

struct Entry {
    task: Task,
    asked_back: bool,
    is_back: bool,
    /// Of a write: its message was moved, was read.
    moved: bool,
    read: bool,
}

/// How URBs have ended, and what they have moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) urbs: usize,
    pub(crate) completed: usize,
    /// Those of them that ended early and were not to.
    pub(crate) short: usize,
    pub(crate) cancelled: usize,
    /// Those of them that had moved their data.
    pub(crate) late: usize,
    pub(crate) bytes_in: usize,
    pub(crate) bytes_out: usize,
    /// Most URBs that were out at once.
    pub(crate) most: usize,
}

/// All URBs of one device, by number.
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    descriptor: [u8; 18],
    /// The write whose message was read last, of each pair.
    last: [Option<usize>; PAIRS],
    out: usize,
    totals: Totals,
}

impl Ledger {
    pub(crate) fn new(descriptor: [u8; 18]) -> Self {
        Self {
            entries: Vec::new(),
            descriptor,
            last: [None; PAIRS],
            out: 0,
            totals: Totals::default(),
        }
    }

    /// A URB is about to be submitted; returns its number. Writes to one pair
    /// are submitted in the order of their numbers.
    pub(crate) fn submits(&mut self, task: Task) -> usize {
        self.entries.push(Entry {
            task,
            asked_back: false,
            is_back: false,
            moved: false,
            read: false,
        });
        self.out += 1;
        self.totals.urbs += 1;
        self.totals.most = self.totals.most.max(self.out);
        self.entries.len() - 1
    }

    /// It is about to be taken back.
    pub(crate) fn takes_back(&mut self, number: usize) {
        if let Some(entry) = self.entries.get_mut(number) {
            entry.asked_back = true;
        }
    }

    /// URBs that have not come back.
    pub(crate) fn out(&self) -> usize {
        self.out
    }

    pub(crate) fn is_back(&self, number: usize) -> bool {
        self.entries.get(number).is_some_and(|entry| entry.is_back)
    }

    /// Their numbers and tasks, in words.
    pub(crate) fn missing(&self) -> String {
        let missing = self.entries.iter().enumerate().filter(|(_, e)| !e.is_back);
        let words: Vec<String> = missing
            .map(|(number, entry)| format!("{number} ({:?})", entry.task))
            .collect();
        words.join(", ")
    }

    /// A pair with a message that was moved and not read.
    pub(crate) fn unread(&self) -> Option<usize> {
        self.entries.iter().find_map(|entry| match entry.task {
            Task::Write { pair, .. } if entry.moved && !entry.read => Some(pair),
            _ => None,
        })
    }

    /// A URB has come back.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn comes_back(&mut self, back: &Back) -> Result<()> {
        self.check(back)
            .map_err(|error| format!("URB {}: {error} ({})", back.number, describe(back)).into())
    }

    fn check(&mut self, back: &Back) -> Result<()> {
        let entry = self
            .entries
            .get_mut(back.number)
            .ok_or("was never submitted")?;
        if std::mem::replace(&mut entry.is_back, true) {
            return Err("comes back a second time".into());
        }
        self.out -= 1;
        let (task, asked_back) = (entry.task, entry.asked_back);
        let data = back
            .data
            .get(..back.actual)
            .ok_or("has moved more than it has")?;
        let short = match task {
            Task::Read {
                room, short_not_ok, ..
            } => short_not_ok && back.actual < room,
            _ => false,
        };
        let totals = &mut self.totals;
        match back.status {
            ENOENT if asked_back => {
                totals.cancelled += 1;
                totals.late += usize::from(back.actual > 0);
            }
            0 if !short => totals.completed += 1,
            EREMOTEIO if short => {
                totals.completed += 1;
                totals.short += 1;
            }
            _ => return Err("has a status that nothing explains".into()),
        }
        match task {
            Task::Write { .. } => totals.bytes_out += back.actual,
            _ => totals.bytes_in += back.actual,
        }
        let nothing = back.status == ENOENT && back.actual == 0;
        match task {
            _ if nothing => Ok(()),
            Task::Descriptor if data == self.descriptor => Ok(()),
            Task::Descriptor => Err("is not the device descriptor".into()),
            Task::Write { length, .. } if back.actual == length => {
                self.entries[back.number].moved = true;
                Ok(())
            }
            Task::Write { .. } => Err("has moved a part".into()),
            Task::Read { pair, .. } => self.reads(pair, data),
        }
    }

    fn reads(&mut self, pair: usize, data: &[u8]) -> Result<()> {
        let number = message::read(data).ok_or("is a damaged message")?;
        let entry = self
            .entries
            .get_mut(number)
            .ok_or("is a message that nobody wrote")?;
        let written = Task::Write {
            pair,
            length: data.len(),
        };
        if entry.task != written {
            return Err(format!("is not the message of write {number}").into());
        }
        if std::mem::replace(&mut entry.read, true) {
            return Err(format!("is write {number} a second time").into());
        }
        if self.last[pair].is_some_and(|last| last > number) {
            return Err(format!("is write {number} after a later one").into());
        }
        self.last[pair] = Some(number);
        Ok(())
    }

    /// All is over.
    ///
    /// # Errors
    /// What has not come back, or was lost on the way.
    pub(crate) fn close(&self) -> Result<Totals> {
        if self.out > 0 {
            return Err(format!("never came back: {}", self.missing()).into());
        }
        for (number, entry) in self.entries.iter().enumerate() {
            match (entry.moved, entry.read) {
                (true, false) => return Err(format!("write {number} was lost").into()),
                (false, true) => {
                    return Err(format!("write {number} was moved and says it was not").into())
                }
                _ => {}
            }
        }
        Ok(self.totals)
    }
}

fn describe(back: &Back) -> String {
    let shown = back.data.get(..back.actual.min(8)).unwrap_or_default();
    format!(
        "status {}, {} bytes: {shown:02x?}",
        back.status, back.actual
    )
}
