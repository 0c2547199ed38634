// SPDX-License-Identifier: GPL-2.0

//! Suspensions of devices in use, of devices that sleep, of nothing; and what wakes
//! them, at once or while they fall asleep.

use super::Arena;
use crate::Result;
use usbif::{PortNumber, Request};

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    arena.in_batches(|connection, maker, random, left| {
        // At most half the ring: unlinks need the other half.
        let batch = random.u64(1..=8).min(left);
        let mut known = vec![0];
        for _ in 0..batch {
            let id = connection.fresh_id();
            let device = &maker.devices[random.usize(..maker.devices.len())];
            let entry = match random.u8(0..8) {
                0..=3 => {
                    let port = PortNumber::new(random.u8(1..=31));
                    let port = port.filter(|_| random.u8(0..4) == 0);
                    let port = port.unwrap_or(device.port);
                    let mut entry = Request::Suspend { id, port }.encode();
                    // What it has no use for.
                    entry[12..].fill_with(|| random.u8(..));
                    entry
                }
                4 | 5 => maker.correct(id, random)?,
                6 => maker.waiting(id, random)?.encode(),
                _ => Request::Unlink {
                    id,
                    target: known[random.usize(..known.len())],
                    port: device.port.get(),
                    device: device.address,
                }
                .encode(),
            };
            known.push(id);
            connection.push(&entry)?;
            if random.bool() {
                connection.publish()?;
            }
        }
        Ok(batch)
    })
}
