// SPDX-License-Identifier: GPL-2.0

//! Requests that a second thread changes while the backend reads them.
//!
//! Nobody knows which request the backend has seen, so the answers are only
//! counted. Ids come from a small set, so that all of them can be unlinked.

use super::maker::Maker;
use super::Arena;
use crate::frontend::connection::{Connection, ENTRIES, KEPT, QUIET};
use crate::xen::grant::Page;
use crate::Result;
use fastrand::Rng;
use ring::SharedPage;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use usbif::{Request, URB_ENTRY};

const IDS: u16 = 32;
const FIRST_ENTRY: usize = 64;
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    arena.in_rounds(|connection, maker, random, count| {
        let mut entries = Vec::new();
        for number in 0..64 {
            let mut entry = maker.wrong(0, random)?;
            // The id too may be wrong.
            entry[..2].copy_from_slice(&(number % IDS).to_le_bytes());
            entries.push(entry);
        }
        let page = connection.urb_page().clone();
        let (active, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let scribbles = random.fork();
        thread::scope(|scope| {
            scope.spawn(|| scribble(&page, maker, &entries, scribbles, &active, &over));
            let done = requests(connection, &entries, random, count, &active);
            over.store(true, Ordering::Relaxed);
            done
        })
    })
}

/// Writes words of any request over words of any entry, and spoils lists of segments.
/// Whole words: grant numbers are not mixed to those of somebody else.
fn scribble(
    page: &Page,
    maker: &Maker,
    entries: &[[u8; URB_ENTRY]],
    mut random: Rng,
    active: &AtomicBool,
    over: &AtomicBool,
) {
    while !over.load(Ordering::Relaxed) {
        if !active.load(Ordering::Relaxed) {
            thread::yield_now();
            continue;
        }
        let entry = &entries[random.usize(..entries.len())];
        let words = URB_ENTRY / 4;
        let from = random.usize(..words);
        let to = random.usize(from + 1..=words);
        let slot = random.usize(..ENTRIES as usize);
        page.write(
            FIRST_ENTRY + slot * URB_ENTRY + 4 * from,
            &entry[4 * from..4 * to],
        );
        maker.spoil_lists(&mut random);
    }
}

fn requests(
    connection: &mut Connection,
    entries: &[[u8; URB_ENTRY]],
    random: &mut Rng,
    count: u64,
    active: &AtomicBool,
) -> Result<()> {
    let kept = u64::from(KEPT);
    let (mut left, mut due) = (count, 0);
    while left > 0 {
        let batch = random.u64(1..=8).min(left);
        left -= batch;
        active.store(true, Ordering::Relaxed);
        for _ in 0..batch {
            connection.push(&entries[random.usize(..entries.len())])?;
        }
        connection.publish()?;
        due += batch;
        due -= count_answers(connection, due.saturating_sub(kept), QUIET)?;
        active.store(false, Ordering::Relaxed);
        if due > kept {
            finish(connection, due)?;
            due = 0;
        }
        connection.forget();
    }
    finish(connection, due)
}

/// Takes everything back until all has been answered.
fn finish(connection: &mut Connection, mut due: u64) -> Result<()> {
    let start = Instant::now();
    let mut target = 0;
    while due > 0 {
        if start.elapsed() > PATIENCE {
            return Err(format!("{due} requests are not answered").into());
        }
        while connection.free() > 0 {
            let unlink = Request::Unlink {
                id: IDS + target,
                target,
                port: 1,
                device: 0,
            };
            target = (target + 1) % IDS;
            connection.push(&unlink.encode())?;
            due += 1;
        }
        connection.publish()?;
        due -= count_answers(connection, due, QUIET)?;
    }
    Ok(())
}

/// Counts answers up to `most`, until none comes for a while.
fn count_answers(connection: &mut Connection, most: u64, quiet: Duration) -> Result<u64> {
    let mut count = 0;
    while count < most && connection.answer(quiet)?.is_some() {
        count += 1;
    }
    Ok(count)
}
