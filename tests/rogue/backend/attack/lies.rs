// SPDX-License-Identifier: GPL-2.0

//! One answer that cannot be, at any point of a connection's life.

use super::Arena;
use crate::Result;
use usbif::{Response, Status};

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let mut session = arena.somewhere()?;
        let submit = session.honest_transfer()?;
        let honest = session.device.transfer(&submit)?;
        let why = match arena.random.u8(..8) {
            0 => {
                session.answer(&honest)?;
                session.link.force(&honest.encode())?;
                "an answer that comes twice"
            }
            1 => {
                let id = stale(&honest, arena);
                session.answer(&Response { id, ..honest })?;
                "an answer to a request that is not there"
            }
            2 => {
                for _ in 0..=arena.random.u8(..20) {
                    let id = stale(&honest, arena);
                    session
                        .link
                        .force(&Response::plain(id, Status::Ok).encode())?;
                }
                "answers to nobody"
            }
            3 => {
                let above = submit.data.total() + 1;
                let most = i32::MAX as u32;
                let any = arena.random.u32(above..=most);
                let actual_length = arena.choose(&[above, above + 4095, most, any]);
                session.answer(&Response {
                    actual_length,
                    ..honest
                })?;
                "an answer that is too long"
            }
            4 => {
                let any = arena.random.i32(..0);
                let length = arena.choose(&[-1, i32::MIN, any]);
                word(&mut session, &honest, 8, length)?;
                "a negative length"
            }
            5 => {
                let any = arena.random.i32(..0);
                let count = arena.choose(&[-1, i32::MIN, any]);
                word(&mut session, &honest, 12, count)?;
                "a negative count of errors"
            }
            _ => {
                let any = arena.random.i32(..);
                // -EINPROGRESS and -EREMOTEIO, which drivers would take for something else.
                let status = arena.choose(&[1, -1, -115, -121, -4095, i32::MIN, i32::MAX, any]);
                if Status::from_wire(status).is_some() {
                    continue;
                }
                word(&mut session, &honest, 4, status)?;
                "a status that is none"
            }
        };
        arena.must_be_given_up(why)?;
    }
    Ok(())
}

/// An id that is certainly not in flight: our frontend's slots are the low four bits,
/// and the rest counts their uses.
fn stale(honest: &Response, arena: &mut Arena<'_>) -> u16 {
    honest.id.wrapping_add(arena.random.u16(1..1 << 12) << 4)
}

/// An answer with one word of it replaced.
fn word(
    session: &mut super::super::session::Session<'_>,
    honest: &Response,
    at: usize,
    value: i32,
) -> Result<()> {
    let mut bytes = honest.encode();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    session.say(&bytes)
}
