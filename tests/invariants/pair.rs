// SPDX-License-Identifier: GPL-2.0

//! Both ends of a ring, honest, against a model: two queues.

use crate::page::Page;
use ring::{entries, BackRing, FrontRing, Full};
use std::collections::VecDeque;

const ENTRY: usize = 148;

/// An entry with a number in it.
pub fn entry(number: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&number.to_le_bytes());
    entry[ENTRY - 1] = number as u8;
    entry
}

/// Every request arrives once and in order, every response likewise, and an end
/// refuses exactly when the model says that it must. Each byte is a step.
pub fn queues(steps: &[u8]) {
    let page = Page::new();
    let mut front = FrontRing::<_, ENTRY>::new(page.clone());
    let mut back = BackRing::<_, ENTRY>::attach(page).unwrap();
    let size = entries(ENTRY) as usize;
    let (mut pushed, mut requests) = (VecDeque::new(), VecDeque::new());
    let (mut taken, mut answered, mut responses) = (0usize, VecDeque::new(), VecDeque::new());
    let (mut next, mut held) = (0u32, 0usize);
    for step in steps {
        match step % 16 {
            0..=2 => {
                assert_eq!(front.free() as usize, size - held);
                if held == size {
                    assert_eq!(front.push(&entry(next)), Err(Full));
                } else {
                    assert_eq!(front.push(&entry(next)), Ok(()));
                    pushed.push_back(next);
                    held += 1;
                    next += 1;
                }
            }
            3 | 4 => {
                let _ = front.publish();
                requests.append(&mut pushed);
            }
            5..=7 => {
                let got = back.pop().unwrap();
                assert_eq!(got, requests.pop_front().map(entry));
                taken += usize::from(got.is_some());
            }
            8..=10 => {
                if taken == 0 {
                    assert_eq!(back.push(&[0; 16]), Err(Full));
                } else {
                    assert_eq!(back.push(&next.to_le_bytes()), Ok(()));
                    answered.push_back(next);
                    taken -= 1;
                }
                assert_eq!(back.unanswered() as usize, taken);
            }
            11 | 12 => {
                let _ = back.publish();
                responses.append(&mut answered);
            }
            _ => {
                let got = front.pop().unwrap();
                let got = got.map(|e| u32::from_le_bytes([e[0], e[1], e[2], e[3]]));
                held -= usize::from(got.is_some());
                assert_eq!(got, responses.pop_front());
            }
        }
    }
}
