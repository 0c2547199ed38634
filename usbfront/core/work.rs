// SPDX-License-Identifier: GPL-2.0

//! What scheduler and shell tell each other: requests to send, and answers.

use crate::job::JobId;
use crate::slots::Slot;
use crate::transfer::Transfer;
use usbif::PortNumber;

/// A piece that shall be sent. Its place and length are in the transfer's
/// [unit](Transfer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The job.
    pub job: JobId,
    /// Slot that carries it.
    pub slot: Slot,
    /// Id of the request.
    pub id: u16,
    /// First byte, or packet.
    pub offset: u32,
    /// Most bytes, or packets.
    pub limit: u32,
    /// How the transfer stands.
    pub transfer: Transfer,
}

/// The next thing to put on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A piece: lay it out, then call
    /// [`Scheduler::sent`](crate::Scheduler::sent) or
    /// [`Scheduler::unsendable`](crate::Scheduler::unsendable).
    Piece(Piece),
    /// An unlink.
    Unlink {
        /// Its own id.
        id: u16,
        /// Id of the request to give back.
        target: u16,
        /// The job that the target belongs to.
        job: JobId,
    },
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An unlink was carried out, or came too late.
    Unlinked,
    /// The device on a port was suspended, or not, as the answer's status says.
    Suspended(PortNumber),
    /// A piece is over. Take the data out of its slot, then call
    /// [`Scheduler::settle`](crate::Scheduler::settle).
    Piece {
        /// The job.
        job: JobId,
        /// Slot that carried it; free, but not used before the next
        /// [`Scheduler::next_work`](crate::Scheduler::next_work).
        slot: Slot,
        /// First byte, or packet, of the piece.
        offset: u32,
        /// Bytes, or packets, of the piece.
        length: u32,
        /// Bytes moved, no more than the piece has.
        actual: u32,
    },
}
