// SPDX-License-Identifier: GPL-2.0

//! Requests in flight. A slot stands for an entry of the ring, with the bounce
//! pages and grants that the shell keeps for it, until its answer has come.
//!
//! An id is a slot's number and a count of its uses: an answer that comes twice
//! or late is not mistaken for that of the slot's next request, and an unlink
//! cannot hit one.

use crate::job::JobId;
use usbif::{PortNumber, Response};

/// Requests that the ring holds (`XENUSB_URB_RING_SIZE`).
pub const SLOTS: usize = 16;
const SLOT_BITS: u32 = 4;
const _: () = assert!(SLOTS == 1 << SLOT_BITS);

/// Number of a slot, 0..=15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u8);

impl Slot {
    /// The number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a backend cannot say if it is in its right mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// No request of that id is in flight.
    Id(u16),
    /// More bytes than were asked for.
    Length(u16),
    /// A packet of an isochronous request that is not the one that was asked
    /// for, or has more bytes.
    Packet(u16),
}

/// A request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flight {
    /// A piece of a job.
    Piece {
        job: JobId,
        offset: u32,
        length: u32,
        /// Most bytes that it can move.
        bytes: u32,
        /// An unlink for it has been sent.
        unlinked: bool,
    },
    /// The unlink of another request.
    Unlink,
    /// The suspension of the device on a port.
    Suspend(PortNumber),
}

#[derive(Clone, Copy)]
struct Entry {
    uses: u16,
    flight: Option<Flight>,
    /// How often the watchdog has looked since its answer is owed.
    looks: u32,
}

/// All slots.
pub(crate) struct Slots {
    entries: [Entry; SLOTS],
    free: u8,
}

impl Slots {
    pub(crate) const fn new() -> Self {
        Self {
            entries: [Entry {
                uses: 0,
                flight: None,
                looks: 0,
            }; SLOTS],
            free: SLOTS as u8,
        }
    }

    pub(crate) fn free(&self) -> u8 {
        self.free
    }

    /// Takes a free slot; returns it with the id of its request.
    pub(crate) fn take(&mut self, flight: Flight) -> Option<(Slot, u16)> {
        let (number, entry) = (0..)
            .zip(&mut self.entries)
            .find(|(_, entry)| entry.flight.is_none())?;
        entry.flight = Some(flight);
        entry.looks = 0;
        entry.uses = entry.uses.wrapping_add(1);
        let id = id(number, entry.uses);
        self.free = self.free.saturating_sub(1);
        Some((Slot(number), id))
    }

    /// A request that was not sent after all.
    pub(crate) fn release(&mut self, slot: Slot) {
        if let Some(entry) = self.entries.get_mut(slot.index()) {
            if entry.flight.take().is_some() {
                self.free = self.free.saturating_add(1);
            }
        }
    }

    /// Notes the length of a piece that has been sent, and its bytes.
    pub(crate) fn set_length(&mut self, slot: Slot, new: u32, most: u32) {
        let entry = self.entries.get_mut(slot.index());
        if let Some(Flight::Piece { length, bytes, .. }) = entry.and_then(|e| e.flight.as_mut()) {
            *length = new;
            *bytes = most;
        }
    }

    /// Takes in an answer and frees its slot.
    pub(crate) fn answer(&mut self, response: &Response) -> Result<(Slot, Flight), Lie> {
        let lie = Lie::Id(response.id);
        // Masked to 4 bits.
        let number = response.id as u8 & 0x0f;
        let slot = Slot(number);
        let entry = self.entries.get_mut(slot.index()).ok_or(lie)?;
        if response.id != id(number, entry.uses) {
            return Err(lie);
        }
        let flight = entry.flight.ok_or(lie)?;
        if let Flight::Piece { bytes, .. } = flight {
            if response.actual_length > bytes {
                return Err(Lie::Length(response.id));
            }
        }
        entry.flight = None;
        self.free = self.free.saturating_add(1);
        Ok((slot, flight))
    }

    /// Id of the last piece of the job that has not been unlinked; it counts as
    /// unlinked from now on. The last, so that none goes to the device when one before it
    /// has been taken back: the ring may not have room for all unlinks at once.
    pub(crate) fn unlink(&mut self, of: JobId) -> Option<u16> {
        let pieces = (0..).zip(&mut self.entries).filter_map(|(number, entry)| {
            let id = id(number, entry.uses);
            match &mut entry.flight {
                Some(Flight::Piece {
                    job,
                    offset,
                    unlinked,
                    ..
                }) if *job == of && !*unlinked => Some((*offset, id, unlinked, &mut entry.looks)),
                _ => None,
            }
        });
        let (_, id, unlinked, looks) = pieces.max_by_key(|(offset, ..)| *offset)?;
        *unlinked = true;
        *looks = 0;
        Some(id)
    }

    /// Whether a piece of the job waits for its unlink.
    pub(crate) fn to_unlink(&self, of: JobId) -> bool {
        self.entries.iter().any(|entry| {
            matches!(entry.flight, Some(Flight::Piece { job, unlinked: false, .. }) if job == of)
        })
    }

    /// The jobs of the pieces in flight.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = JobId> + '_ {
        self.entries.iter().filter_map(|entry| match entry.flight {
            Some(Flight::Piece { job, .. }) => Some(job),
            _ => None,
        })
    }

    /// Whether any request is without an answer.
    pub(crate) fn in_flight(&self) -> bool {
        usize::from(self.free) < SLOTS
    }

    /// How many answers the backend owes within bounded time.
    pub(crate) fn owed(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_owed()).count()
    }

    /// A look of the watchdog. Returns how often it has looked at the answer that is owed
    /// the longest.
    pub(crate) fn look(&mut self) -> u32 {
        let owed = self.entries.iter_mut().filter(|entry| entry.is_owed());
        owed.fold(0, |most, entry| {
            entry.looks = entry.looks.saturating_add(1);
            most.max(entry.looks)
        })
    }
}

impl Entry {
    /// Requests that wait for the device may take for ever, but not those.
    fn is_owed(&self) -> bool {
        match self.flight {
            Some(Flight::Unlink | Flight::Suspend(_)) => true,
            Some(Flight::Piece { unlinked, .. }) => unlinked,
            None => false,
        }
    }
}

fn id(slot: u8, uses: u16) -> u16 {
    uses.wrapping_shl(SLOT_BITS) | u16::from(slot)
}
