// SPDX-License-Identifier: GPL-2.0

//! Reads into pages that are mapped from a device's node. Unlike a buffer of usbfs's
//! such a page is nobody else's, so a host controller may have it filled where it lies.

use crate::usbfs::{Kind, Urb, Usbfs};
use crate::Result;
use std::thread;
use std::time::Duration;

/// The bulk endpoint that sends.
const SOURCE: u8 = 0x81;
/// Longest wait for a page that a device always has.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads so many pages, each into memory of its own.
///
/// # Errors
/// The first that does not come back full.
pub(crate) fn read(node: &str, pages: usize) -> Result<()> {
    let usbfs = Usbfs::open(node)?;
    for number in 0..pages {
        let buffer = usbfs.page()?;
        let whole = buffer.len();
        usbfs.submit(Urb {
            kind: Kind::Bulk,
            endpoint: SOURCE,
            short_not_ok: false,
            buffer,
            number,
        })?;
        usbfs.wait(PATIENCE)?;
        let back = usbfs.reap()?.ok_or("a read does not come back")?;
        if (back.status, back.actual) != (0, whole) {
            return Err(format!("status {}, {} bytes", back.status, back.actual).into());
        }
    }
    Ok(())
}

/// Maps a page and keeps it until the process is ended.
///
/// # Errors
/// The node has none.
pub(crate) fn hold(node: &str) -> Result<()> {
    let _page = Usbfs::unclaimed(node)?.page()?;
    loop {
        thread::park();
    }
}
