// SPDX-License-Identifier: GPL-2.0

//! The smaller decisions, each against a model.

use proptest::prelude::*;
use std::collections::HashMap;
use usbback_core::*;
use usbif::*;

fn segments() -> impl Strategy<Value = Segments> {
    let segment = (any::<u32>(), 1u16..=4096).prop_flat_map(|(gref, length)| {
        (0..=4096 - length).prop_map(move |offset| Segment {
            gref,
            offset,
            length,
        })
    });
    prop::collection::vec(segment, 0..=16).prop_map(|list| {
        let mut out = Segments::EMPTY;
        for segment in list {
            out.push(segment).unwrap();
        }
        out
    })
}

proptest! {
    #[test]
    fn pieces_cover_the_range(segments in segments(), a in 0u32..70_000, b in 0u32..70_000) {
        invariants::copy::cover(&segments, a.min(b), a.max(b));
    }

    /// Joined ranges hold the same bytes in the same order, and no two of them
    /// could be one.
    #[test]
    fn joined_ranges_are_the_same_bytes(
        packets in prop::collection::vec((0u32..4, 0u32..5, 0u32..5), 0..40),
    ) {
        // Gap before, bytes, and of them those that did not come in.
        let mut end = 0;
        let ranges: Vec<_> = packets
            .iter()
            .map(|&(gap, length, missing)| {
                let first = end + gap / 2;
                end = first + length;
                (first, length.saturating_sub(missing / 3))
            })
            .collect();
        let bytes = |ranges: &[(u32, u32)]| -> Vec<u32> {
            ranges.iter().flat_map(|&(first, length)| first..first + length).collect()
        };
        let joined: Vec<_> = joined(ranges.iter().copied()).collect();
        prop_assert_eq!(bytes(&joined), bytes(&ranges));
        prop_assert!(joined.iter().all(|&(_, length)| length > 0));
        for pair in joined.windows(2) {
            prop_assert!(pair[0].0 + pair[0].1 != pair[1].0);
        }
    }

    /// The guest sees the last state in the end, and every device that came as
    /// new: between two devices there is an event that the port is empty.
    #[test]
    fn events_lose_nothing(history in prop::collection::vec((0u8..4, any::<bool>()), 0..40)) {
        let mut events = Events::EMPTY;
        let mut told = Vec::new();
        let mut now = Speed::None;
        let drain = |events: &mut Events, told: &mut Vec<Speed>| {
            for _ in 0..3 {
                if let Some(speed) = events.peek() {
                    told.push(speed);
                    events.sent();
                }
            }
            assert_eq!(events.peek(), None, "never more than two");
        };
        for (speed, look) in history {
            now = Speed::from_wire(speed).unwrap();
            events.set(now);
            if look {
                drain(&mut events, &mut told);
                prop_assert_eq!(told.last().copied().unwrap_or(Speed::None), now);
            }
        }
        drain(&mut events, &mut told);
        prop_assert_eq!(told.last().copied().unwrap_or(Speed::None), now);
        for pair in told.windows(2) {
            prop_assert!((pair[0] == Speed::None) != (pair[1] == Speed::None));
        }
        events.forget();
        prop_assert_eq!(events.peek(), (now != Speed::None).then_some(now));
    }

    #[test]
    fn slots_are_a_small_map(script in prop::collection::vec((0u16..24, any::<bool>()), 0..200)) {
        let mut slots = Slots::default();
        let mut model: HashMap<u16, (Index, usize)> = HashMap::new();
        for (step, (id, insert)) in script.into_iter().enumerate() {
            if insert {
                match slots.insert(id, step) {
                    Ok(index) => { prop_assert!(model.insert(id, (index, step)).is_none()); }
                    Err(NoSlot::Duplicate) => prop_assert!(model.contains_key(&id)),
                    Err(NoSlot::Full) => prop_assert_eq!(model.len(), SLOTS),
                }
            } else if let Some((index, value)) = model.remove(&id) {
                prop_assert_eq!(slots.find(id), Some(index));
                prop_assert_eq!(slots.get(index), Some(&value));
                prop_assert_eq!(slots.get_mut(index).copied(), Some(value));
                prop_assert_eq!(slots.remove(index), Some((id, value)));
            } else {
                prop_assert_eq!(slots.find(id), None);
            }
            prop_assert_eq!(slots.used().count(), model.len());
        }
    }

    #[test]
    fn interfaces_are_a_set(numbers in prop::collection::btree_set(any::<u8>(), 0..40), gone: u8) {
        let mut set = Interfaces::default();
        set.insert(9, gone.wrapping_add(1));
        for &number in &numbers {
            set.insert(1, number);
        }
        let mut model = numbers;
        if model.is_empty() {
            return Ok(());
        }
        prop_assert_eq!(set.configuration(), 1);
        set.remove(gone);
        model.remove(&gone);
        prop_assert!(set.iter().eq(model.iter().copied()));
        prop_assert_eq!(set.is_empty(), model.is_empty());
    }
}
