// SPDX-License-Identifier: GPL-2.0

//! The protocol of indices and notifications, by the code of `common/ring`: no
//! wake-up is lost, every entry arrives as it was written. And the same with a
//! mistake, to see that mistakes are seen.

use interleavings::{explore, Event, Page, ENTRY};
use loom::thread;
use ring::{BackRing, FrontRing, SharedPage};

fn entry(number: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&number.to_le_bytes());
    entry
}

fn number(entry: &[u8; ENTRY]) -> u32 {
    u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]])
}

/// How an end goes to sleep.
#[derive(Clone, Copy, PartialEq)]
enum Sleep {
    /// As it should: it looks again after it has asked for an event.
    LookAgain,
    /// It does not look at what `arm` has found.
    AtOnce,
}

/// A backend that takes `count` requests and sleeps when there is none.
fn take<P: SharedPage>(back: &mut BackRing<P, ENTRY>, event: &Event, count: u32, sleep: Sleep) {
    let mut taken = 0;
    while taken < count {
        if let Some(entry) = back.pop().unwrap() {
            taken += 1;
            assert_eq!(number(&entry), taken);
            continue;
        }
        if !back.arm().unwrap() || sleep == Sleep::AtOnce {
            event.wait();
        }
    }
}

/// Two requests, one after the other, to a backend that sleeps between them.
fn requests<const BARRIER: bool>(sleep: Sleep) {
    let page = Page::<BARRIER>::new();
    let event = Event::new();
    let mut front = FrontRing::<_, ENTRY>::new(page.clone());
    let mut back = BackRing::<_, ENTRY>::attach(page).unwrap();
    let backend = {
        let event = event.clone();
        thread::spawn(move || take(&mut back, &event, 2, sleep))
    };
    for n in 1..=2 {
        front.push(&entry(n)).unwrap();
        if front.publish() {
            event.notify();
        }
    }
    backend.join().unwrap();
}

/// Two responses, one after the other, to a frontend that sleeps between them.
fn responses<const BARRIER: bool>(sleep: Sleep) {
    let page = Page::<BARRIER>::new();
    let event = Event::new();
    let mut front = FrontRing::<_, ENTRY>::new(page.clone());
    for n in 1..=2 {
        front.push(&entry(n)).unwrap();
    }
    let _ = front.publish();
    let mut back = BackRing::<_, ENTRY>::attach(page).unwrap();
    let backend = {
        let event = event.clone();
        thread::spawn(move || {
            for n in 1..=2u32 {
                assert!(back.pop().unwrap().is_some());
                back.push(&(10 + n).to_le_bytes()).unwrap();
                if back.publish() {
                    event.notify();
                }
            }
        })
    };
    let mut taken = 0;
    while taken < 2 {
        if let Some(entry) = front.pop().unwrap() {
            taken += 1;
            assert_eq!(number(&entry), 10 + taken);
            continue;
        }
        if !front.arm().unwrap() || sleep == Sleep::AtOnce {
            event.wait();
        }
    }
    assert_eq!(front.free(), 2);
    backend.join().unwrap();
}

#[test]
fn no_request_is_overlooked() {
    explore(4, || requests::<true>(Sleep::LookAgain));
}

#[test]
fn no_response_is_overlooked() {
    explore(4, || responses::<true>(Sleep::LookAgain));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_backend_that_does_not_look_again_is_caught() {
    explore(4, || requests::<true>(Sleep::AtOnce));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_frontend_that_does_not_look_again_is_caught() {
    explore(4, || responses::<true>(Sleep::AtOnce));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_missing_barrier_is_caught_at_requests() {
    explore(4, || requests::<false>(Sleep::LookAgain));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_missing_barrier_is_caught_at_responses() {
    explore(4, || responses::<false>(Sleep::LookAgain));
}

/// Three requests through a ring of two, each answered: places are used again
/// while the other end reads, and both ends sleep and wake each other.
#[test]
fn places_are_used_again_in_order() {
    explore(2, || {
        const COUNT: u32 = 3;
        let page = Page::<true>::new();
        let (to_back, to_front) = (Event::new(), Event::new());
        let mut front = FrontRing::<_, ENTRY>::new(page.clone());
        let mut back = BackRing::<_, ENTRY>::attach(page).unwrap();
        let backend = {
            let (to_back, to_front) = (to_back.clone(), to_front.clone());
            thread::spawn(move || {
                let mut taken = 0;
                while taken < COUNT {
                    if let Some(entry) = back.pop().unwrap() {
                        taken += 1;
                        assert_eq!(number(&entry), taken);
                        back.push(&(10 + taken).to_le_bytes()).unwrap();
                        if back.publish() {
                            to_front.notify();
                        }
                    } else if !back.arm().unwrap() {
                        to_back.wait();
                    }
                }
                assert_eq!(back.unanswered(), 0);
            })
        };
        let (mut asked, mut answered) = (0, 0);
        while answered < COUNT {
            while asked < COUNT && front.free() > 0 {
                asked += 1;
                front.push(&entry(asked)).unwrap();
            }
            if front.publish() {
                to_back.notify();
            }
            if let Some(entry) = front.pop().unwrap() {
                answered += 1;
                assert_eq!(number(&entry), 10 + answered);
            } else if !front.arm().unwrap() {
                to_front.wait();
            }
        }
        backend.join().unwrap();
    });
}
