// SPDX-License-Identifier: GPL-2.0

//! Answers that are wrong in all that a frontend cannot know: each request gets
//! one, of a form that can be, and none of it is true.

use super::super::link::ENTRIES;
use super::super::session::Session;
use super::Arena;
use crate::Result;
use fastrand::Rng;
use usbif::{Direction, Kind, Response, Status, Submit, URB_ENTRY};

const STATUSES: [Status; 7] = [
    Status::Ok,
    Status::NoDevice,
    Status::Invalid,
    Status::Stall,
    Status::IoError,
    Status::Babble,
    Status::Shutdown,
];
/// One of so many transfers before the device is configured is answered wrongly:
/// more, and the guest would not get to know it.
const EARLY: u32 = 32;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut session = arena.connect()?;
    let mut held: Vec<Submit> = Vec::new();
    let mut left = arena.count;
    while left > 0 {
        // More than one may be waiting: the ring holds sixteen.
        while held.len() < ENTRIES as usize && (held.is_empty() || arena.random.u8(..4) > 0) {
            let submit = if held.is_empty() {
                session.transfer()?
            } else {
                session.ready()?
            };
            match submit {
                Some(submit) => held.push(submit),
                None => break,
            }
        }
        if held.is_empty() {
            return Err("the frontend gives up a backend whose answers can be".into());
        }
        let submit = held.swap_remove(arena.random.usize(..held.len()));
        if !session.device.is_configured() && arena.random.u32(..EARLY) > 0 {
            let response = session.device.transfer(&submit)?;
            session.answer(&response)?;
            continue;
        }
        let answer = wrong(&mut session, &submit, &mut arena.random)?;
        session.say(&answer)?;
        left -= 1;
    }
    Ok(())
}

/// A whole entry of it: what lies behind the answer is nobody's.
pub(super) fn wrong(
    session: &mut Session<'_>,
    submit: &Submit,
    random: &mut Rng,
) -> Result<[u8; URB_ENTRY]> {
    let mut entry = [0; URB_ENTRY];
    entry.fill_with(|| random.u8(..));
    // Mostly well, so that drivers go on asking.
    let status = match random.u8(..32) {
        0 => STATUSES[random.usize(..STATUSES.len())],
        _ => Status::Ok,
    };
    let most = submit.data.total();
    let actual_length = match random.u8(..4) {
        0 => 0,
        1 => random.u32(..=most),
        _ => most,
    };
    if random.bool() && !matches!(submit.kind, Kind::Isochronous { .. }) {
        // Data of any kind, or else what is left of an earlier request.
        if submit.direction == Direction::In {
            let bytes: Vec<u8> = (0..most).map(|_| random.u8(..)).collect();
            session.device.store(&submit.data, &bytes)?;
        }
    }
    let count = [0, 1, i32::MAX as u32, random.u32(..=i32::MAX as u32)];
    let response = Response {
        id: submit.id,
        start_frame: random.u16(..),
        status,
        actual_length,
        error_count: count[random.usize(..count.len())],
    };
    entry[..usbif::RESPONSE].copy_from_slice(&response.encode());
    Ok(entry)
}
