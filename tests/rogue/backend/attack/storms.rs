// SPDX-License-Identifier: GPL-2.0

//! Devices that come and go on all ports at once, faster than they can be looked
//! at, with ids that nobody has asked for.

use super::super::PORTS;
use super::Arena;
use crate::Result;
use std::time::Duration;
use usbif::{Request, Response, Status};

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut session = arena.connect()?;
    let mut left = arena.count;
    while left > 0 {
        let batch = arena.random.u64(1..=64).min(left);
        left -= batch;
        for _ in 0..batch {
            let id = arena.random.bool().then(|| arena.random.u16(..));
            let port = arena.random.u8(1..=PORTS);
            session.link.push_event(id, port, arena.random.u8(0..=3))?;
        }
        session.link.publish()?;
        let mut rest = Duration::from_millis(arena.random.u64(..40));
        while let Some(request) = session.link.take(rest)? {
            let response = match &request {
                Request::Submit(submit) => session.device.transfer(submit)?,
                other => Response::plain(other.id(), Status::Ok),
            };
            session.answer(&response)?;
            rest = Duration::ZERO;
        }
        if !session.vusb.is_connected()? {
            return Err("the frontend gives up a backend whose events can be".into());
        }
    }
    Ok(())
}
