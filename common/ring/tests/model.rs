// SPDX-License-Identifier: GPL-2.0

//! Both ends against a model: two queues. And each end against a far end that
//! writes whatever it likes.

#[path = "../checks/lies.rs"]
mod lies;

use invariants::{
    page::Page,
    pair::{entry, queues},
};
use proptest::prelude::*;
use ring::{entries, BackRing, Corrupt, FrontRing, SharedPage};

const ENTRY: usize = 148;

proptest! {
    #[test]
    fn two_honest_ends_behave_as_queues(steps in prop::collection::vec(any::<u8>(), 0..400)) {
        queues(&steps);
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
