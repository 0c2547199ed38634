// SPDX-License-Identifier: GPL-2.0

//! One end of a ring against a far end that writes whatever it likes, whenever
//! it likes: also between the moment that an index is read and the next look.
//!
//! The page notes every access, so that the checks also see an index that is
//! read twice for one decision, a write outside the entries, and a read of an
//! entry that is not the next.

use crate::{
    page::{place, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD},
    Choices,
};
use ring::{entries, BackRing, Corrupt, FrontRing, Full, SharedPage, PAGE_SIZE};
use std::cell::RefCell;

const ENTRY: usize = 148;
const SIZE: u32 = entries(ENTRY);

struct World<'a> {
    memory: [u8; PAGE_SIZE],
    choices: Choices<'a>,
    loads: Vec<(usize, u32)>,
    stores: Vec<(usize, u32)>,
    reads: Vec<(usize, usize)>,
    writes: Vec<(usize, usize)>,
    /// Loads and barriers and stores in order: S, B, L.
    order: String,
}

struct Page<'a>(RefCell<World<'a>>);

impl World<'_> {
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.memory[at..at + 4].try_into().unwrap())
    }

    /// The far end does something, or nothing.
    fn far_end(&mut self) {
        if self.choices.is_empty() {
            return;
        }
        let what: u8 = self.choices.arbitrary().unwrap_or(0);
        let index = usize::from(what & 3) * 4;
        let word = self.word(index);
        let choices = &mut self.choices;
        let mut put = |value: u32| {
            self.memory[index..index + 4].copy_from_slice(&value.to_le_bytes());
        };
        match what {
            // Mostly it is busy elsewhere, or behaves: else nothing happens after
            // the first impossible index.
            0..=215 => {}
            216..=247 => put(word.wrapping_add(u32::from(what >> 2 & 7))),
            248..=250 => {
                let step: i8 = choices.arbitrary().unwrap_or(0);
                put(word.wrapping_add_signed(step.into()));
            }
            251 => put(choices.arbitrary().unwrap_or(0)),
            // Rewrites anything.
            252..=255 => {
                let at = usize::from(choices.arbitrary::<u16>().unwrap_or(0)) % PAGE_SIZE;
                self.memory[at] = choices.arbitrary().unwrap_or(0);
            }
        }
    }
}

impl SharedPage for Page<'_> {
    fn load(&self, offset: usize) -> u32 {
        let mut world = self.0.borrow_mut();
        world.far_end();
        let value = world.word(offset);
        world.loads.push((offset, value));
        world.order.push('L');
        world.far_end();
        value
    }
    fn store(&self, offset: usize, value: u32) {
        let mut world = self.0.borrow_mut();
        world.memory[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        world.stores.push((offset, value));
        world.order.push('S');
        world.far_end();
    }
    fn full_barrier(&self) {
        self.0.borrow_mut().order.push('B');
    }
    fn read(&self, offset: usize, out: &mut [u8]) {
        let mut world = self.0.borrow_mut();
        world.far_end();
        out.copy_from_slice(&world.memory[offset..offset + out.len()]);
        world.reads.push((offset, out.len()));
        world.far_end();
    }
    fn write(&self, offset: usize, bytes: &[u8]) {
        let mut world = self.0.borrow_mut();
        world.memory[offset..offset + bytes.len()].copy_from_slice(bytes);
        world.writes.push((offset, bytes.len()));
    }
}

/// What one call did to the page.
#[derive(Debug, PartialEq)]
struct Did {
    loads: Vec<(usize, u32)>,
    stores: Vec<(usize, u32)>,
    reads: Vec<(usize, usize)>,
    writes: Vec<(usize, usize)>,
    order: String,
}

impl Did {
    /// The one index that was loaded.
    fn only(&self, offset: usize) -> u32 {
        assert_eq!(self.loads.len(), 1, "an index is read once: {self:?}");
        assert_eq!(self.loads[0].0, offset);
        self.loads[0].1
    }

    fn last(&self, offset: usize) -> u32 {
        let &(at, value) = self.loads.last().unwrap();
        assert_eq!(at, offset);
        value
    }
}

fn did(page: &Page<'_>) -> Did {
    let mut world = page.0.borrow_mut();
    Did {
        loads: core::mem::take(&mut world.loads),
        stores: core::mem::take(&mut world.stores),
        reads: core::mem::take(&mut world.reads),
        writes: core::mem::take(&mut world.writes),
        order: core::mem::take(&mut world.order),
    }
}

fn page(bytes: &[u8]) -> Page<'_> {
    Page(RefCell::new(World {
        memory: [0; PAGE_SIZE],
        choices: Choices::new(bytes),
        loads: vec![],
        stores: vec![],
        reads: vec![],
        writes: vec![],
        order: String::new(),
    }))
}

fn choice(page: &Page<'_>) -> Option<u8> {
    let mut world = page.0.borrow_mut();
    if world.choices.is_empty() {
        return None;
    }
    world.choices.arbitrary().ok()
}

/// Where this end is, by the model.
struct Position {
    /// Messages of the far end that were taken.
    taken: u32,
    /// Messages of ours that were written, and shown.
    written: u32,
    shown: u32,
}

/// An index of the far end as this end must take it.
fn judge(value: u32, taken: u32, most: u32) -> Result<bool, Corrupt> {
    if value.wrapping_sub(taken) > most {
        return Err(Corrupt);
    }
    Ok(value != taken)
}

fn after_arm(did: &Did, armed: Result<bool, Corrupt>, at: (usize, usize), taken: u32, most: u32) {
    let first = did.loads[0].1;
    if judge(first, taken, most) != Ok(false) {
        assert_eq!(armed, judge(first, taken, most));
        assert!(did.stores.is_empty());
        return;
    }
    // Nothing there: ask for an event at the next, and look again.
    assert_eq!(did.stores, [(at.1, taken.wrapping_add(1))]);
    assert_eq!(did.order, "LSBL");
    assert_eq!(armed, judge(did.last(at.0), taken, most));
}

/// What `pop` may have done: read the entry whose index allows it, and nothing else.
fn after_pop(did: &Did, got: Result<bool, Corrupt>, index: usize, most: u32, at: &mut Position) {
    let expected = judge(did.only(index), at.taken, most);
    assert_eq!(got, expected);
    if expected == Ok(true) {
        assert_eq!(did.reads, [(place(at.taken, ENTRY), ENTRY)]);
        at.taken = at.taken.wrapping_add(1);
    } else {
        assert!(did.reads.is_empty());
    }
    assert!(did.stores.is_empty() && did.writes.is_empty());
}

fn after_publish(did: &Did, notify: bool, at: (usize, usize), position: &mut Position) {
    let (old, new) = (position.shown, position.written);
    if old == new {
        assert!(!notify && did.stores.is_empty());
        return;
    }
    assert_eq!(did.stores, [(at.0, new)]);
    assert_eq!(did.order, "SBL");
    let event = did.only(at.1);
    // Whether `event` is one of old+1 ..= new.
    let passed = (1..=new.wrapping_sub(old)).any(|n| old.wrapping_add(n) == event);
    assert_eq!(notify, passed);
    position.shown = new;
}

/// The serving end.
pub fn back(bytes: &[u8]) {
    let page = page(bytes);
    let start = u32::from_le_bytes([0; 4].map(|_: u8| choice(&page).unwrap_or(0)));
    {
        let mut world = page.0.borrow_mut();
        for at in [REQ_PROD, RSP_PROD] {
            world.memory[at..at + 4].copy_from_slice(&start.to_le_bytes());
        }
    }
    let Ok(mut ring) = BackRing::<_, ENTRY>::attach(page) else {
        return;
    };
    let loads = did(ring.page()).loads;
    // Its own index says where to begin; the other one is looked at only.
    let [(RSP_PROD, start), (REQ_PROD, _)] = loads[..] else {
        panic!("{loads:?}");
    };
    let mut at = Position {
        taken: start,
        written: start,
        shown: start,
    };
    while let Some(step) = choice(ring.page()) {
        let held = at.taken.wrapping_sub(at.written);
        assert!(held <= SIZE, "more than a ring of requests");
        assert_eq!(ring.unanswered(), held);
        // One ring beyond what was answered, and not behind what was taken.
        let most = SIZE - at.taken.wrapping_sub(at.shown).min(SIZE);
        match step % 4 {
            0 => {
                let got = ring.pop().map(|entry| entry.is_some());
                after_pop(&did(ring.page()), got, REQ_PROD, most, &mut at);
            }
            1 => {
                let length = usize::from(step >> 2) * 3;
                let bytes = vec![step; length];
                let result = ring.push(&bytes);
                let did = did(ring.page());
                if held == 0 || length > ENTRY {
                    assert_eq!(result, Err(Full));
                    assert!(did.writes.is_empty());
                } else {
                    assert_eq!(result, Ok(()));
                    assert_eq!(did.writes, [(place(at.written, ENTRY), length)]);
                    at.written = at.written.wrapping_add(1);
                }
                assert!(did.loads.is_empty() && did.stores.is_empty());
            }
            2 => {
                let notify = ring.publish();
                after_publish(&did(ring.page()), notify, (RSP_PROD, RSP_EVENT), &mut at);
            }
            _ => {
                let armed = ring.arm();
                let did = did(ring.page());
                after_arm(&did, armed, (REQ_PROD, REQ_EVENT), at.taken, most);
            }
        }
    }
}

/// The requesting end.
pub fn front(bytes: &[u8]) {
    let mut ring = FrontRing::<_, ENTRY>::new(page(bytes));
    did(ring.page());
    let mut at = Position {
        taken: 0,
        written: 0,
        shown: 0,
    };
    while let Some(step) = choice(ring.page()) {
        let held = at.written.wrapping_sub(at.taken);
        assert!(held <= SIZE, "more than a ring of requests");
        assert_eq!(ring.free(), SIZE - held);
        let most = at.shown.wrapping_sub(at.taken);
        match step % 4 {
            0 => {
                let got = ring.pop().map(|entry| entry.is_some());
                after_pop(&did(ring.page()), got, RSP_PROD, most, &mut at);
            }
            1 => {
                let result = ring.push(&[step; ENTRY]);
                let did = did(ring.page());
                if held == SIZE {
                    assert_eq!(result, Err(Full));
                    assert!(did.writes.is_empty());
                } else {
                    assert_eq!(result, Ok(()));
                    assert_eq!(did.writes, [(place(at.written, ENTRY), ENTRY)]);
                    at.written = at.written.wrapping_add(1);
                }
                assert!(did.loads.is_empty() && did.stores.is_empty());
            }
            2 => {
                let notify = ring.publish();
                after_publish(&did(ring.page()), notify, (REQ_PROD, REQ_EVENT), &mut at);
            }
            _ => {
                let armed = ring.arm();
                let did = did(ring.page());
                after_arm(&did, armed, (RSP_PROD, RSP_EVENT), at.taken, most);
            }
        }
    }
}
