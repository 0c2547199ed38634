// SPDX-License-Identifier: GPL-2.0

//! One device in a storm: threads submit, take back and reap, all of them any
//! URB of it.

use crate::ledger::{Ledger, Task, Totals, PAIRS};
use crate::message;
use crate::usbfs::{Handle, Kind, Urb, Usbfs};
use crate::Result;
use fastrand::Rng;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// URBs that a thread has out before it takes one back.
const WINDOW: usize = 16;
/// So many URBs of a thread, about, are reads or writes for the most part.
const MOOD: usize = 64;
/// Longest message and what is read: two pages, in whole packets.
const LONGEST: usize = 8192;
/// Longest wait for a URB that nothing hinders from coming back.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest pause of a thread, in microseconds.
const PAUSE: u64 = 2000;
const GET_DESCRIPTOR: [u8; 8] = [0x80, 6, 0, 1, 0, 0, 18, 0];

/// A device and its account.
pub(crate) struct Target {
    usbfs: Usbfs,
    ledger: Mutex<Ledger>,
    /// The longest time that taking a URB back has taken, in milliseconds.
    slowest: AtomicU64,
}

impl Target {
    pub(crate) fn open(node: &str) -> Result<Self> {
        let usbfs = Usbfs::open(node)?;
        let descriptor = usbfs.descriptor()?;
        Ok(Self {
            usbfs,
            ledger: Mutex::new(Ledger::new(descriptor)),
            slowest: AtomicU64::new(0),
        })
    }

    pub(crate) fn slowest(&self) -> u64 {
        self.slowest.load(Ordering::Relaxed)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Submits a URB; the ledger is locked meanwhile, so that numbers are in the
    /// order of submission.
    fn submit(&self, task: Task) -> Result<(usize, Handle)> {
        let mut ledger = self.ledger();
        let number = ledger.submits(task);
        let handle = self.usbfs.submit(urb(task, number))?;
        Ok((number, handle))
    }

    /// Reaps what has come back; likewise.
    fn reap(&self) -> Result<()> {
        let mut ledger = self.ledger();
        while let Some(back) = self.usbfs.reap()? {
            ledger.comes_back(&back)?;
        }
        Ok(())
    }

    /// One thread's part: submits that many URBs and takes each of them back at
    /// a random moment, too late or not.
    pub(crate) fn rage(&self, mut pairs: usize, mut random: Rng) -> Result<()> {
        let mut out: Vec<(usize, Handle)> = Vec::new();
        let mut reading = random.bool();
        while pairs > 0 || !out.is_empty() {
            if pairs > 0 && (out.is_empty() || out.len() < WINDOW && random.u8(..4) > 0) {
                out.push(self.submit(any(&mut random, reading))?);
                pairs -= 1;
                if random.usize(..MOOD) == 0 {
                    reading = !reading;
                }
            } else {
                let (number, handle) = out.swap_remove(random.usize(..out.len()));
                self.ledger().takes_back(number);
                // It may have come back by itself, and have been reaped.
                let start = Instant::now();
                self.usbfs.discard(handle)?;
                self.slowest
                    .fetch_max(start.elapsed().as_millis() as u64, Ordering::Relaxed);
            }
            if random.u8(..8) == 0 {
                sleep(Duration::from_micros(random.u64(..PAUSE)));
            }
            self.reap()?;
        }
        Ok(())
    }

    /// After the storm: everything comes back, and what was written is read.
    pub(crate) fn settle(&self) -> Result<Totals> {
        while self.ledger().out() > 0 {
            self.await_back()?;
        }
        // First what is left: a device that is full takes no more.
        self.read_rest()?;
        for pair in 0..PAIRS {
            self.finish(Task::Write { pair, length: 777 })?;
            self.read_rest()?;
        }
        self.finish(Task::Descriptor)?;
        self.ledger().close()
    }

    fn read_rest(&self) -> Result<()> {
        loop {
            let Some(pair) = self.ledger().unread() else {
                return Ok(());
            };
            self.finish(Task::Read {
                pair,
                room: LONGEST,
                short_not_ok: false,
            })?;
        }
    }

    fn await_back(&self) -> Result<()> {
        if !self.usbfs.wait(PATIENCE)? {
            return Err(format!("never came back: {}", self.ledger().missing()).into());
        }
        self.reap()
    }

    fn finish(&self, task: Task) -> Result<()> {
        let (number, _) = self.submit(task)?;
        while !self.ledger().is_back(number) {
            self.await_back()?;
        }
        Ok(())
    }
}

/// Something to do; reads for the most part, or writes, so that they wait for
/// what does not come.
fn any(random: &mut Rng, reading: bool) -> Task {
    let pair = random.usize(..PAIRS);
    match random.u8(..20) {
        0..2 => Task::Descriptor,
        share if (share < 16) == reading => Task::Read {
            pair,
            room: LONGEST,
            short_not_ok: random.u8(..4) == 0,
        },
        _ => Task::Write {
            pair,
            length: random.usize(message::SHORTEST..=LONGEST),
        },
    }
}

fn urb(task: Task, number: usize) -> Urb {
    let stream = |pair: usize, input: bool, short_not_ok, buffer: Vec<u8>| Urb {
        kind: if pair == PAIRS - 1 {
            Kind::Interrupt
        } else {
            Kind::Bulk
        },
        endpoint: pair as u8 + 1 + if input { 0x80 } else { 0 },
        short_not_ok,
        buffer: buffer.leak(),
        number,
    };
    match task {
        Task::Read {
            pair,
            room,
            short_not_ok,
        } => stream(pair, true, short_not_ok, vec![0; room]),
        Task::Write { pair, length } => stream(pair, false, false, message::make(number, length)),
        Task::Descriptor => Urb {
            kind: Kind::Control,
            endpoint: 0,
            short_not_ok: false,
            buffer: [GET_DESCRIPTOR.as_slice(), &[0; 18]].concat().leak(),
            number,
        },
    }
}
