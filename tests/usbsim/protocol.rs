// SPDX-License-Identifier: GPL-2.0

//! The wire of USB/IP (Documentation/usb/usbip_protocol.rst), server's side.
//!
//! Every message starts with 48 bytes, all numbers big-endian. A submission is
//! followed by the data of an OUT transfer and, if it is isochronous, by a
//! descriptor of 16 bytes for each packet; an answer by the data of an IN
//! transfer and the same descriptors. The packets' data in an answer is packed:
//! the kernel moves each to its offset itself (usbip_pad_iso()).

use std::io::{self, Read};

use usbif::SetupPacket;

/// Bytes of every message's first part.
pub const HEADER: usize = 48;
/// More than the kernel sends in one transfer; what exceeds it is garbage.
const MAX_TRANSFER: u32 = 64 << 20;
/// USBIP_MAX_ISO_PACKETS of the kernel's usbip_common.h.
const MAX_PACKETS: u32 = 1024;
/// What the document asks for, and stub drivers send, when there are no packets.
const NO_PACKETS: u32 = u32::MAX;

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;

/// USBIP_URB_ISO_ASAP of include/uapi/linux/usbip.h.
const ISO_ASAP: u32 = 2;

/// How a transfer, or one packet of it, has ended: errno values as they cross the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Done = 0,
    /// Taken back by whoever submitted it (-ECONNRESET).
    Unlinked = -104,
    /// The endpoint is halted, or the request is not understood (-EPIPE).
    Stall = -32,
    /// More data than asked for (-EOVERFLOW).
    Babble = -75,
    /// No handshake, or a broken packet (-EPROTO).
    Protocol = -71,
    /// The packet's slot on the bus was over before it was submitted (-EXDEV).
    Late = -18,
}

/// One packet of an isochronous transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where its data lies in the transfer's buffer, in bytes.
    pub offset: u32,
    /// Bytes that it may carry.
    pub length: u32,
    /// Bytes that it did carry.
    pub actual: u32,
    /// How it ended.
    pub status: i32,
}

impl Packet {
    /// Bytes of a packet's descriptor.
    pub const SIZE: usize = 16;

    fn parse(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |n: usize| word(bytes, n * 4);
        Packet {
            offset: word(0),
            length: word(1),
            actual: word(2),
            status: word(3) as i32,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for word in [self.offset, self.length, self.actual, self.status as u32] {
            out.extend(word.to_be_bytes());
        }
    }
}

/// A transfer that the kernel asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Number that the answer carries.
    pub seqnum: u32,
    /// Whether data comes from the device.
    pub input: bool,
    /// Endpoint number, without direction.
    pub number: u8,
    /// Bytes that the kernel has or wants.
    pub length: u32,
    /// Frame that a transfer without ISO_ASAP would like; not used by vhci_hcd.
    pub start_frame: u32,
    /// Isochronous: as soon as possible, instead of right after the one before.
    pub asap: bool,
    /// First stage of a control transfer.
    pub setup: SetupPacket,
    /// What the kernel sends.
    pub data: Vec<u8>,
    /// Packets, if the transfer is isochronous.
    pub packets: Vec<Packet>,
}

impl Submit {
    /// Endpoint address as descriptors have it: number and direction.
    #[must_use]
    pub fn endpoint(&self) -> u8 {
        self.number | if self.input { 0x80 } else { 0 }
    }
}

/// What the kernel sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A transfer to carry out.
    Submit(Submit),
    /// A transfer to take back.
    Unlink {
        /// Number that the answer carries.
        seqnum: u32,
        /// Number of the transfer to take back.
        victim: u32,
    },
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

fn invalid(what: &str, value: u32) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} {value}"))
}

impl Command {
    /// Reads one message; None where the stream ends between two messages.
    ///
    /// # Errors
    /// What reading gives, and `InvalidData` for what no kernel sends.
    pub fn read(stream: &mut impl Read) -> io::Result<Option<Command>> {
        let mut header = [0; HEADER];
        match stream.read(&mut header[..1])? {
            0 => return Ok(None),
            _ => stream.read_exact(&mut header[1..])?,
        }
        let seqnum = word(&header, 4);
        match word(&header, 0) {
            CMD_SUBMIT => {
                Self::read_submit(stream, &header).map(|submit| Some(Command::Submit(submit)))
            }
            CMD_UNLINK => Ok(Some(Command::Unlink {
                seqnum,
                victim: word(&header, 20),
            })),
            other => Err(invalid("unknown command", other)),
        }
    }

    fn read_submit(stream: &mut impl Read, header: &[u8; HEADER]) -> io::Result<Submit> {
        let (direction, number, length, count) = (
            word(header, 12),
            word(header, 16),
            word(header, 24),
            word(header, 32),
        );
        if direction > 1 {
            return Err(invalid("direction", direction));
        }
        if number > 15 {
            return Err(invalid("endpoint", number));
        }
        if length > MAX_TRANSFER {
            return Err(invalid("transfer of bytes:", length));
        }
        let count = if count == NO_PACKETS { 0 } else { count };
        if count > MAX_PACKETS {
            return Err(invalid("packets:", count));
        }
        let input = direction == 1;
        let mut data = vec![0; if input { 0 } else { length as usize }];
        stream.read_exact(&mut data)?;
        let mut packets = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let mut bytes = [0; Packet::SIZE];
            stream.read_exact(&mut bytes)?;
            let packet = Packet::parse(&bytes);
            match packet.offset.checked_add(packet.length) {
                Some(end) if end <= length => packets.push(packet),
                _ => return Err(invalid("packet outside its buffer at", packet.offset)),
            }
        }
        let mut setup = [0; 8];
        setup.copy_from_slice(&header[40..]);
        Ok(Submit {
            seqnum: word(header, 4),
            input,
            number: number as u8,
            length,
            start_frame: word(header, 28),
            asap: word(header, 20) & ISO_ASAP != 0,
            setup: SetupPacket(setup),
            data,
            packets,
        })
    }
}

/// What a transfer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Status of the transfer as a whole.
    pub status: Status,
    /// Bytes that were moved. Those of isochronous packets are packed.
    pub actual: u32,
    /// What the device sent: `actual` bytes for IN, none for OUT.
    pub data: Vec<u8>,
    /// Frame or microframe of the first packet.
    pub start_frame: u32,
    /// The packets, as many as were submitted.
    pub packets: Vec<Packet>,
}

/// An answer to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a submission.
    Submit {
        /// Number of the submission.
        seqnum: u32,
        /// How it ended.
        done: Done,
    },
    /// To a request to take a transfer back.
    Unlink {
        /// Number of that request.
        seqnum: u32,
        /// `Unlinked` if there was such a transfer, `Done` if it had been answered.
        status: Status,
    },
}

impl Reply {
    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        let mut words = |list: &[u32]| list.iter().for_each(|word| out.extend(word.to_be_bytes()));
        match self {
            Reply::Submit { seqnum, done } => {
                let errors = done
                    .packets
                    .iter()
                    .filter(|packet| packet.status != 0)
                    .count() as u32;
                words(&[RET_SUBMIT, *seqnum, 0, 0, 0]);
                words(&[
                    done.status as u32,
                    done.actual,
                    done.start_frame,
                    done.packets.len() as u32,
                    errors,
                ]);
                out.resize(HEADER, 0);
                out.extend(&done.data);
                for packet in &done.packets {
                    packet.encode(&mut out);
                }
            }
            Reply::Unlink { seqnum, status } => {
                words(&[RET_UNLINK, *seqnum, 0, 0, 0, *status as u32]);
                out.resize(HEADER, 0);
            }
        }
        out
    }
}
