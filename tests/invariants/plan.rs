// SPDX-License-Identifier: GPL-2.0

//! Laying a piece of a URB out in pages: what is granted in place belongs to
//! the URB whole, and what is laid out is the buffer from its start, in order.

use crate::Choices;
use usbfront_core::{Fragment, Memory, Plan};
use usbif::{MAX_INDIRECT, MAX_SEGMENTS, MAX_TRANSFER};

fn check(plan: &Plan, start: u32, most: usize, trusted: bool, fragments: &[Fragment]) {
    let mut at = start;
    for part in plan.parts() {
        assert_eq!(part.at, at);
        assert!((1..=4096).contains(&part.length));
        assert!(part.offset + part.length <= 4096);
        at += u32::from(part.length);
        if part.in_place {
            let mut begin = start;
            let fragment = fragments.iter().find(|fragment| {
                let here = begin == part.at;
                begin += u32::from(fragment.length);
                here
            });
            let fragment = fragment.unwrap();
            assert!(trusted && fragment.memory == Memory::Linear);
            assert_eq!((fragment.offset, fragment.length), (0, 4096));
        }
    }
    assert_eq!(plan.total(), at - start);
    assert!(plan.parts().len() <= most);
}

/// Lays out fragments that each lie in a page and are not empty.
pub fn hides_neighbours(
    start: u32,
    limit: u32,
    most: usize,
    trusted: bool,
    fragments: &[Fragment],
    cut: u32,
) {
    let available: u32 = fragments.iter().map(|f| u32::from(f.length)).sum();
    let mut plan = Plan::default();
    // A slot's plan is used again and again.
    plan.lay_out(cut, limit, most, !trusted, fragments.iter().rev().copied());
    plan.lay_out(start, limit, most, trusted, fragments.iter().copied());
    check(&plan, start, most, trusted, fragments);
    let total = plan.total();
    assert!(total <= limit.min(available));
    assert!(total > 0 || limit.min(available) == 0);
    // Not all fitted: then all parts are in use.
    assert!(total == limit.min(available) || plan.parts().len() == most);
    plan.truncate(cut);
    check(&plan, start, most, trusted, fragments);
    assert_eq!(plan.total(), total.min(cut));
    plan.truncate(0);
    assert!(plan.parts().is_empty());
}

/// Fragments by choice.
pub fn any(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let start = choices.int_in_range(0..=100_000).unwrap_or(0);
    let limit = choices.int_in_range(0..=2 * MAX_TRANSFER).unwrap_or(0);
    let cut = choices.int_in_range(0..=2 * MAX_TRANSFER).unwrap_or(0);
    let trusted = choices.arbitrary().unwrap_or(false);
    let most = if choices.arbitrary().unwrap_or(false) {
        MAX_INDIRECT
    } else {
        MAX_SEGMENTS
    };
    let mut fragments = vec![];
    while !choices.is_empty() && fragments.len() < 60 {
        let kind: u8 = choices.arbitrary().unwrap_or(0);
        let memory = if kind & 1 == 0 {
            Memory::Linear
        } else {
            Memory::Other
        };
        let (offset, length) = if kind & 2 == 0 {
            (0, 4096)
        } else {
            // The first bytes of a page are as suspect as any.
            let offset = match kind & 4 {
                0 => 0,
                _ => choices.int_in_range(0..=4095).unwrap_or(0),
            };
            (offset, choices.int_in_range(1..=4096 - offset).unwrap_or(1))
        };
        fragments.push(Fragment {
            offset,
            length,
            memory,
        });
    }
    hides_neighbours(start, limit, most, trusted, &fragments, cut);
}
