// SPDX-License-Identifier: GPL-2.0

//! Slots of isochronous streams: no two packets share one, none lies before its
//! submission unless it is said to be late, and what was missed is counted.

use proptest::prelude::*;
use std::time::{Duration, Instant};
use usbsim::clock::{Clock, Stream};

proptest! {
    #[test]
    fn slots_follow_each_other(
        period in prop_oneof![Just(1u64), Just(2), Just(8), Just(32)],
        steps in prop::collection::vec((0u64..500, 1u32..40, any::<bool>()), 1..50),
    ) {
        let mut stream = Stream::new(period, false);
        let (mut now, mut free) = (0, 0);
        for (number, (pause, count, asap)) in steps.into_iter().enumerate() {
            now += pause;
            let slots = stream.schedule(now, count, asap);
            prop_assert_eq!(slots.first % period, 0);
            prop_assert!(slots.first >= free, "a slot is given twice");
            if number > 0 && slots.first - free > period * slots.missed {
                prop_assert!(false, "slots were left out and not counted");
            }
            let late_end = slots.first + u64::from(slots.late) * period;
            prop_assert!(slots.late == count || late_end > now, "a packet in the past is not said to be late");
            prop_assert!(slots.late == 0 || !asap);
            prop_assert!(slots.missed == 0 || asap);
            free = slots.first + u64::from(count) * period;
            prop_assert_eq!(slots.end(count - 1), free);
        }
    }

    #[test]
    fn a_stream_that_is_fed_in_time_has_no_gap(period in 1u64..9, counts in prop::collection::vec(1u32..9, 2..40)) {
        let mut stream = Stream::new(period, false);
        let mut now = 5;
        let mut last = stream.schedule(now, counts[0], true);
        for pair in counts.windows(2) {
            let end = last.end(pair[0] - 1);
            // Two transfers are always queued: the next comes before the last one's end.
            now = now.max(end - 1);
            let next = stream.schedule(now, pair[1], true);
            prop_assert_eq!((next.first, next.missed, next.late), (end, 0, 0));
            last = next;
        }
    }
}

#[test]
fn late_packets_are_dropped_or_put_off() {
    for asap in [true, false] {
        let mut stream = Stream::new(8, false);
        let first = stream.schedule(0, 4, asap);
        let end = first.end(3);
        let slots = stream.schedule(end + 20, 10, asap);
        if asap {
            assert_eq!((slots.first, slots.missed, slots.late), (end + 24, 3, 0));
        } else {
            assert_eq!((slots.first, slots.missed, slots.late), (end, 0, 3));
        }
    }
}

#[test]
fn a_patient_stream_waits() {
    let mut stream = Stream::new(8, true);
    let first = stream.schedule(0, 4, false);
    let slots = stream.schedule(first.end(3) + 20, 10, false);
    assert_eq!((slots.first, slots.waited), (first.end(3) + 24, 3));
    assert_eq!((slots.missed, slots.late), (0, 0));
}

#[test]
fn a_stopped_or_forgotten_stream_begins_anew() {
    let mut stream = Stream::new(8, false);
    let first = stream.schedule(0, 1, true);
    stream.stop();
    let again = stream.schedule(1000, 1, false);
    assert_eq!((again.missed, again.late), (0, 0));
    assert!(again.first > 1000 && first.first < again.first);
    let forgotten = stream.schedule(100_000, 1, false);
    assert_eq!((forgotten.missed, forgotten.late), (0, 0));
}

#[test]
fn bus_time_is_real_time_stretched() {
    let start = Instant::now();
    let clock = Clock::new(4);
    for microframes in [0, 1, 7, 8000] {
        let moment = clock.moment(microframes);
        assert_eq!(clock.at(moment), microframes);
        assert_eq!(clock.at(moment + Duration::from_micros(499)), microframes);
        assert_eq!(
            clock.at(moment + Duration::from_micros(500)),
            microframes + 1
        );
    }
    assert!(clock.moment(8000) >= start + Duration::from_secs(4));
}
