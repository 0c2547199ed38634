// SPDX-License-Identifier: GPL-2.0

//! Data in pages that the backend may not use, or not as it should.

use super::maker::{void_grant, Maker, SEGMENT, SEGS};
use super::Arena;
use crate::frontend::connection::Connection;
use crate::frontend::device::listed_in;
use crate::frontend::state::CLOSING;
use crate::xen::grant::{Access, Page};
use crate::Result;
use ring::SharedPage;
use std::thread::sleep;
use std::time::{Duration, Instant};
use usbif::{Segment, Segments, Status, MAX_INDIRECT, URB_ENTRY};

const ROUND: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a device descriptor.
const LENGTH: u16 = 18;
/// The ring's entries end before this byte of its page.
const BEHIND_RING: u16 = 64 + 16 * 148;
/// No domain of the lab.
const NOBODY: u16 = 0x7000;

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    let mut left = arena.count;
    while left > 0 {
        let mut round = left.min(ROUND);
        left -= round;
        let mut connection = arena.vusb.connect()?;
        let devices = arena.devices(&mut connection)?;
        let maker = Maker::new(arena.vusb, devices)?;
        while round > 0 {
            round -= 1;
            one(arena, &maker, &mut connection)?;
        }
        arena.check(&mut connection)?;
        over_the_indices(arena, &maker, &mut connection)?;
    }
    Ok(())
}

fn at(gref: u32, offset: u16, length: u16) -> Segment {
    Segment {
        gref,
        offset,
        length,
    }
}

fn list(segments: &[Segment]) -> Result<Segments> {
    let mut out = Segments::EMPTY;
    for segment in segments {
        out.push(*segment).map_err(|_| "an impossible segment")?;
    }
    Ok(out)
}

fn one(arena: &mut Arena<'_>, maker: &Maker, connection: &mut Connection) -> Result<()> {
    let vusb = arena.vusb;
    match arena.random.u8(0..13) {
        0 => {
            let gref = void_grant(&mut arena.random);
            let status = fetch(arena, maker, connection, &[at(gref, 0, LENGTH)])?;
            refused("a grant that nobody has issued", status)
        }
        1 => {
            let page = vusb.page(Access::Read)?;
            let status = fetch(arena, maker, connection, &[at(page.gref(), 0, LENGTH)])?;
            untouched(&page)?;
            refused("a page that can only be read", status)
        }
        2 => {
            let page = vusb.grants.page(NOBODY, Access::ReadWrite)?;
            let status = fetch(arena, maker, connection, &[at(page.gref(), 0, LENGTH)])?;
            untouched(&page)?;
            refused("a page granted to another domain", status)
        }
        // One good segment and a bad one.
        3 => {
            let page = vusb.page(Access::ReadWrite)?;
            let gref = void_grant(&mut arena.random);
            let status = fetch(
                arena,
                maker,
                connection,
                &[at(page.gref(), 0, 8), at(gref, 0, LENGTH - 8)],
            )?;
            refused("a request with one bad grant", status)
        }
        // Revoked before: the number may be another grant of ours by now.
        4 => {
            let gref = vusb.page(Access::ReadWrite)?.gref();
            fetch(arena, maker, connection, &[at(gref, 0, LENGTH)]).map(drop)
        }
        // Revoked in mid-flight.
        5 => {
            let page = vusb.page(Access::ReadWrite)?;
            let id = connection.fresh_id();
            let data = list(&[at(page.gref(), 0, LENGTH)])?;
            connection.push(&maker.descriptor_into(id, data, &mut arena.random).encode())?;
            connection.publish()?;
            drop(page);
            connection.drain()
        }
        // Sixteen segments over each other: the device's last bytes win.
        6 => {
            let page = vusb.page(Access::ReadWrite)?;
            let mut segments = [at(page.gref(), 0, 1); 16];
            segments[15].length = 3;
            let status = fetch(arena, maker, connection, &segments)?;
            accepted("overlapping segments", status)
        }
        // A list of segments that nobody has granted, or not to this backend.
        8 => {
            let page = vusb.page(Access::Read)?;
            let entry = longest(maker, connection, &page, page.gref())?;
            let gref = void_grant(&mut arena.random);
            refused(
                "a list that nobody has granted",
                send(connection, &with_list(entry, gref))?,
            )
        }
        9 => {
            let page = vusb.grants.page(NOBODY, Access::ReadWrite)?;
            let entry = longest(maker, connection, &page, page.gref())?;
            refused(
                "a list granted to another domain",
                send(connection, &entry)?,
            )
        }
        // One bad segment at the end of the list: no such grant, or out of its page.
        10 => {
            let page = vusb.page(Access::Read)?;
            let entry = longest(maker, connection, &page, page.gref())?;
            let last = (MAX_INDIRECT - 1) * SEGMENT;
            if arena.random.bool() {
                page.write(last, &void_grant(&mut arena.random).to_le_bytes());
            } else {
                page.write(last + 4, &4096u16.to_le_bytes());
            }
            refused("a list with one bad segment", send(connection, &entry)?)
        }
        // Behind the ring, of nothing.
        11 => {
            let page = vusb.page(Access::Read)?;
            let mut entry = longest(maker, connection, &page, page.gref())?;
            entry[SEGS + 4..SEGS + 6].copy_from_slice(&BEHIND_RING.to_le_bytes());
            let ring = connection.urb_page().gref();
            refused(
                "a list of nothing",
                send(connection, &with_list(entry, ring))?,
            )
        }
        // Revoked in mid-flight, the list and what it lists.
        12 => {
            let page = vusb.page(Access::ReadWrite)?;
            let entry = longest(maker, connection, &page, page.gref())?;
            connection.push(&entry)?;
            connection.publish()?;
            drop(page);
            connection.drain()
        }
        // Behind the ring, in its own page, and in the conn ring's.
        _ => {
            let ring = connection.urb_page().gref();
            let offset = arena.random.u16(BEHIND_RING..4096 - LENGTH);
            let status = fetch(arena, maker, connection, &[at(ring, offset, LENGTH)])?;
            accepted("a place behind the ring", status)?;
            let conn = connection.conn_page().gref();
            let offset = arena.random.u16(64..4096 - LENGTH);
            let status = fetch(arena, maker, connection, &[at(conn, offset, LENGTH)])?;
            accepted("a place in the conn ring", status)
        }
    }
}

/// A transfer of 32 bytes, each with a segment of its own, which are listed in a page.
fn longest(
    maker: &Maker,
    connection: &mut Connection,
    page: &Page,
    data: u32,
) -> Result<[u8; URB_ENTRY]> {
    let submit = maker.output(
        connection.fresh_id(),
        list(&[at(data, 0, 1); MAX_INDIRECT])?,
    )?;
    Ok(listed_in(page, 0, &submit))
}

/// The same with the list, which is the entry's only segment, in another page.
fn with_list(mut entry: [u8; URB_ENTRY], gref: u32) -> [u8; URB_ENTRY] {
    entry[SEGS..SEGS + 4].copy_from_slice(&gref.to_le_bytes());
    entry
}

/// Asks for a descriptor into these segments; returns what became of it.
fn fetch(
    arena: &mut Arena<'_>,
    maker: &Maker,
    connection: &mut Connection,
    segments: &[Segment],
) -> Result<Status> {
    let id = connection.fresh_id();
    let request = maker.descriptor_into(id, list(segments)?, &mut arena.random);
    send(connection, &request.encode())
}

fn send(connection: &mut Connection, entry: &[u8; URB_ENTRY]) -> Result<Status> {
    let response = connection.transact(entry, PATIENCE)?;
    if response.status != Status::Ok && response.actual_length != 0 {
        return Err("bytes are said to have moved that have not".into());
    }
    Ok(response.status)
}

fn refused(what: &str, status: Status) -> Result<()> {
    match status {
        Status::Invalid => Ok(()),
        status => Err(format!("{what}: {status:?}").into()),
    }
}

fn accepted(what: &str, status: Status) -> Result<()> {
    match status {
        Status::Ok => Ok(()),
        status => Err(format!("{what}: {status:?}").into()),
    }
}

fn untouched(page: &Page) -> Result<()> {
    if page.copy(0, 4096).iter().any(|byte| *byte != 0) {
        return Err("a page was written that is not the backend's to write".into());
    }
    Ok(())
}

/// A descriptor written over the ring's own indices: the backend stops.
fn over_the_indices(
    arena: &mut Arena<'_>,
    maker: &Maker,
    connection: &mut Connection,
) -> Result<()> {
    let ring = connection.urb_page().clone();
    let data = list(&[at(ring.gref(), 0, LENGTH)])?;
    let id = connection.fresh_id();
    connection.push(&maker.descriptor_into(id, data, &mut arena.random).encode())?;
    connection.publish()?;
    // It looks at the indices again when it is woken, or before.
    let start = Instant::now();
    while ring.load(0) < 16 * 1024 {
        if start.elapsed() > PATIENCE {
            return Err("a descriptor does not come".into());
        }
        sleep(Duration::from_millis(5));
    }
    connection.channel.notify()?;
    arena.vusb.wait_backend(&[CLOSING]).map(drop)
}
