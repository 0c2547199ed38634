// SPDX-License-Identifier: GPL-2.0

//! Both ends against a model: two queues. And each end against a far end that
//! writes whatever it likes.

use proptest::prelude::*;
use ring::{entries, BackRing, Corrupt, FrontRing, Full, SharedPage, PAGE_SIZE};
use std::{cell::RefCell, collections::VecDeque, rc::Rc};

const ENTRY: usize = 148;

/// A page of plain memory; clones share it, as two domains do.
#[derive(Clone)]
struct Page(Rc<RefCell<[u8; PAGE_SIZE]>>);

impl Page {
    fn new() -> Self {
        Page(Rc::new(RefCell::new([0; PAGE_SIZE])))
    }

    /// A page whose four indices all start at `index`.
    fn starting_at(index: u32) -> Self {
        let page = Self::new();
        page.store(0, index);
        page.store(4, index.wrapping_add(1));
        page.store(8, index);
        page.store(12, index.wrapping_add(1));
        page
    }
}

impl SharedPage for Page {
    fn load(&self, offset: usize) -> u32 {
        let mut word = [0; 4];
        self.read(offset, &mut word);
        u32::from_le_bytes(word)
    }
    fn store(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }
    fn full_barrier(&self) {}
    fn read(&self, offset: usize, out: &mut [u8]) {
        out.copy_from_slice(&self.0.borrow()[offset..offset + out.len()]);
    }
    fn write(&self, offset: usize, bytes: &[u8]) {
        self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

fn entry(number: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&number.to_le_bytes());
    entry[ENTRY - 1] = number as u8;
    entry
}

#[derive(Clone, Debug)]
enum Step {
    Request,
    PublishRequests,
    TakeRequest,
    Respond,
    PublishResponses,
    TakeResponse,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![
            3 => Just(Step::Request),
            2 => Just(Step::PublishRequests),
            3 => Just(Step::TakeRequest),
            3 => Just(Step::Respond),
            2 => Just(Step::PublishResponses),
            3 => Just(Step::TakeResponse),
        ],
        0..400,
    )
}

proptest! {
    /// Every request arrives once and in order, every response likewise, and
    /// an end refuses exactly when the model says that it must.
    #[test]
    fn two_honest_ends_behave_as_queues(steps in steps()) {
        let page = Page::new();
        let mut front = FrontRing::<_, ENTRY>::new(page.clone());
        let mut back = BackRing::<_, ENTRY>::attach(page).unwrap();
        let size = entries(ENTRY) as usize;
        let (mut pushed, mut requests) = (VecDeque::new(), VecDeque::new());
        let (mut taken, mut answered, mut responses) = (0usize, VecDeque::new(), VecDeque::new());
        let (mut next, mut held) = (0u32, 0usize);
        for step in steps {
            match step {
                Step::Request => {
                    prop_assert_eq!(front.free() as usize, size - held);
                    if held == size {
                        prop_assert_eq!(front.push(&entry(next)), Err(Full));
                    } else {
                        prop_assert_eq!(front.push(&entry(next)), Ok(()));
                        pushed.push_back(next);
                        held += 1;
                        next += 1;
                    }
                }
                Step::PublishRequests => {
                    let _ = front.publish();
                    requests.append(&mut pushed);
                }
                Step::TakeRequest => {
                    let got = back.pop().unwrap();
                    prop_assert_eq!(got, requests.pop_front().map(entry));
                    taken += usize::from(got.is_some());
                }
                Step::Respond => {
                    if taken == 0 {
                        prop_assert_eq!(back.push(&[0; 16]), Err(Full));
                    } else {
                        prop_assert_eq!(back.push(&next.to_le_bytes()), Ok(()));
                        answered.push_back(next);
                        taken -= 1;
                    }
                    prop_assert_eq!(back.unanswered() as usize, taken);
                }
                Step::PublishResponses => {
                    let _ = back.publish();
                    responses.append(&mut answered);
                }
                Step::TakeResponse => {
                    let got = front.pop().unwrap().map(|e| u32::from_le_bytes([e[0], e[1], e[2], e[3]]));
                    held -= usize::from(got.is_some());
                    prop_assert_eq!(got, responses.pop_front());
                }
            }
        }
    }

    /// Whoever armed and found nothing is notified of the next entry.
    #[test]
    fn an_armed_end_is_always_notified(start in any::<u32>(), burst in 1u32..16) {
        let page = Page::starting_at(start);
        let mut back = BackRing::<_, ENTRY>::attach(page.clone()).unwrap();
        prop_assert!(!back.arm().unwrap());
        // The peer's requests, written by hand from any index.
        page.store(0, start.wrapping_add(burst));
        prop_assert!(back.arm().unwrap());
        let mut count = 0;
        while back.pop().unwrap().is_some() {
            count += 1;
            back.push(&[1; 16]).unwrap();
        }
        prop_assert_eq!(count, burst);
        // The frontend waits for the first of them: one notification, once.
        page.store(12, start.wrapping_add(1));
        prop_assert!(back.publish());
        prop_assert!(!back.publish());
        // It has not asked again: the next response comes without one.
        page.store(0, start.wrapping_add(burst).wrapping_add(1));
        back.pop().unwrap();
        back.push(&[1; 16]).unwrap();
        prop_assert!(!back.publish());
    }

    /// A request index that no honest frontend can reach is refused; any other
    /// gives at most a ring of requests before answers are due.
    #[test]
    fn a_hostile_producer_gets_nothing(start in any::<u32>(), jump in any::<u32>()) {
        let page = Page::starting_at(start);
        let mut back = BackRing::<_, ENTRY>::attach(page.clone()).unwrap();
        page.store(0, start.wrapping_add(jump));
        let mut popped = 0;
        let end = loop {
            match back.pop() {
                Ok(Some(_)) => popped += 1,
                other => break other,
            }
            prop_assert!(popped <= entries(ENTRY));
        };
        if jump > entries(ENTRY) {
            prop_assert_eq!(end, Err(Corrupt));
            prop_assert_eq!(popped, 0);
            prop_assert_eq!(back.arm(), Err(Corrupt));
        } else {
            prop_assert_eq!(popped, jump);
        }
    }

    /// Responses that were never asked for are refused.
    #[test]
    fn a_hostile_responder_gets_nothing(asked in 0u32..=16, claimed in any::<u32>()) {
        let page = Page::new();
        let mut front = FrontRing::<_, ENTRY>::new(page.clone());
        for n in 0..asked {
            front.push(&entry(n)).unwrap();
        }
        let _ = front.publish();
        page.store(8, claimed);
        if claimed > asked {
            prop_assert_eq!(front.pop(), Err(Corrupt));
            prop_assert_eq!(front.arm(), Err(Corrupt));
        } else {
            for _ in 0..claimed {
                prop_assert!(front.pop().unwrap().is_some());
            }
            prop_assert_eq!(front.pop(), Ok(None));
        }
    }
}

/// An index that runs backwards is as impossible as one that jumps.
#[test]
fn a_producer_that_runs_backwards_is_corrupt() {
    let page = Page::new();
    let mut back = BackRing::<_, ENTRY>::attach(page.clone()).unwrap();
    page.store(0, 3);
    assert!(back.pop().unwrap().is_some());
    assert!(back.pop().unwrap().is_some());
    page.store(0, 1);
    assert_eq!(back.pop(), Err(Corrupt));
}

/// Requests pushed but not published cannot be answered.
#[test]
fn an_unpublished_request_has_no_response() {
    let page = Page::new();
    let mut front = FrontRing::<_, ENTRY>::new(page.clone());
    front.push(&entry(0)).unwrap();
    page.store(8, 1);
    assert_eq!(front.pop(), Err(Corrupt));
}

/// What lies beyond the entry is refused instead of spilling into the next.
#[test]
fn an_overlong_response_is_refused() {
    let page = Page::new();
    page.store(0, 1);
    let mut back = BackRing::<_, 4>::attach(page).unwrap();
    back.pop().unwrap();
    assert_eq!(back.push(&[0; 5]), Err(Full));
    assert_eq!(back.push(&[0; 4]), Ok(()));
}
