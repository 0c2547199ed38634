// SPDX-License-Identifier: GPL-2.0

//! The nodes that name rings and channel, with anything in them.

use super::Arena;
use crate::frontend::{state, NODES};
use crate::Result;

/// Nothing of this is one of our grants or channels.
const VALUES: [&[u8]; 16] = [
    b"",
    b" ",
    b"garbage",
    b"-1",
    b"-2147483648",
    b"2147483647",
    b"4294967295",
    b"4294967296",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999",
    b"0x7fffffff",
    b"%s%n%p",
    b"\0",
    b"2000000\0garbage",
    b"\xff\xfe\xfd",
    b"1e9",
];
/// The longest value that a guest may store, about: its quota is 2048 bytes.
const LONG: usize = 1900;
const TOO_LONG: usize = 64 << 10;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        arena.vusb.settle()?;
        let mut connection = arena.vusb.rings()?;
        connection.offer_events()?;
        arena.vusb.publish(&connection)?;
        for _ in 0..arena.random.u8(1..=3) {
            let node = arena.vusb.node(NODES[arena.random.usize(..NODES.len())]);
            let store = &arena.vusb.store;
            match arena.random.u8(0..10) {
                0 | 1 => store.remove(&node)?,
                2 => store.write_bytes(&node, &vec![b'9'; LONG])?,
                3 => {
                    if store.write_bytes(&node, &vec![b'1'; TOO_LONG]).is_ok() {
                        return Err("a value of 64 KiB was stored".into());
                    }
                }
                // The rings in each other's place, and twice the same.
                4 => arena
                    .vusb
                    .write("urb-ring-ref", connection.conn_page().gref())?,
                5 => arena
                    .vusb
                    .write("conn-ring-ref", connection.urb_page().gref())?,
                _ => store.write_bytes(&node, VALUES[arena.random.usize(..VALUES.len())])?,
            }
        }
        arena.vusb.show(state::INITIALISING)?;
        arena.vusb.offer()?;
        if arena.random.bool() {
            arena.vusb.pace();
        }
    }
    Ok(())
}
