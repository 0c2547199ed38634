// SPDX-License-Identifier: GPL-2.0

//! Nodes of the backend's that are missing, garbage or huge.

use super::Arena;
use crate::frontend::state::{CLOSED, CONNECTED, INIT_WAIT};
use crate::Result;

const NODES: [&str; 3] = ["num-ports", "usb-ver", "feature-indirect-segments"];
const VALUES: [&[u8]; 16] = [
    b"",
    b"0",
    b"1",
    b"2",
    b"3",
    b"31",
    b"32",
    b"255",
    b"-1",
    b" 8",
    b"8 ",
    b"8\0garbage",
    b"4294967296",
    b"18446744073709551617",
    b"%s%n%p",
    b"\xff\xfe\xfd",
];
/// The longest value that XenStore takes with its path, about.
const HUGE: usize = 3900;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        arena.vusb.make()?;
        let node = arena.choose(&NODES);
        match arena.random.u8(..8) {
            0 => arena.vusb.write_any(node, None)?,
            1 => arena.vusb.write_any(node, Some(&vec![b'9'; HUGE]))?,
            _ => {
                let value = arena.choose(&VALUES);
                arena.vusb.write_any(node, Some(value))?;
            }
        }
        arena.vusb.show(INIT_WAIT)?;
        // Some of it makes sense; the rest it says no to.
        arena.vusb.wait_frontend(&[CONNECTED, CLOSED])?;
        // Too late to matter.
        arena.vusb.write_any(node, Some(b"garbage"))?;
    }
    Ok(())
}
