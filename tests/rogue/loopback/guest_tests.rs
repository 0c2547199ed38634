// SPDX-License-Identifier: GPL-2.0

//! Every attack of the backend's against a good frontend, and bad frontends against
//! the attacks.

use super::guest::{Fault, Guest};
use super::{World, HERE};
use crate::backend::{find, run, Options, ATTACKS};
use crate::Result;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;

fn attempt(name: &str, count: u64, fault: Fault) -> Result<()> {
    let world = Arc::<World>::default();
    HERE.set(world.clone());
    let guest = Guest::new(world.clone(), fault);
    let options = Options {
        guest: 1,
        vusb: 0,
        seed: 7,
        count,
        attacks: vec![find(name).ok_or("no such attack")?],
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            HERE.set(world.clone());
            guest.run();
        });
        let done = run(&options);
        world.over.store(true, Ordering::Relaxed);
        done
    })
}

/// What a good frontend survives, in numbers that take a second.
const COUNTS: [(&str, u64); 17] = [
    ("answers", 600),
    ("rewrites", 50),
    ("packets", 40),
    ("mappings", 100),
    ("storms", 600),
    ("lies", 30),
    ("indices", 20),
    ("ports", 20),
    ("nodes", 40),
    ("states", 40),
    ("silence", 5),
    ("deaths", 30),
    ("mute", 1),
    ("keeps", 10),
    ("withholds", 1),
    ("restarts", 2),
    ("late", 10),
];

#[test]
fn a_good_frontend_survives() {
    assert_eq!(COUNTS.len(), ATTACKS.len());
    for (name, count) in COUNTS {
        assert_eq!(
            attempt(name, count, Fault::None).map_err(|error| error.to_string()),
            Ok(()),
            "{name}"
        );
    }
}

#[track_caller]
fn found(name: &str, count: u64, fault: Fault, what: &str) {
    let error = attempt(name, count, fault)
        .err()
        .map(|error| error.to_string());
    assert!(
        error.as_ref().is_some_and(|error| error.contains(what)),
        "{error:?} should tell: {what}"
    );
}

#[test]
fn a_frontend_that_connects_without_end_is_found() {
    found("restarts", 1, Fault::ConnectsOften, "connections in");
}

#[test]
fn a_frontend_that_takes_any_answer_is_found() {
    found("lies", 50, Fault::TrustsIds, "is believed");
}

#[test]
fn a_length_that_is_believed_is_found() {
    found("lies", 50, Fault::TrustsLengths, "too long is believed");
}

#[test]
fn a_packet_that_is_believed_is_found() {
    found(
        "packets",
        100,
        Fault::TrustsPackets,
        "a packet that was not sent is believed",
    );
}

#[test]
fn a_port_that_is_ignored_is_found() {
    found("ports", 10, Fault::IgnoresPorts, "is believed");
}

#[test]
fn an_index_that_is_ignored_is_found() {
    found(
        "indices",
        10,
        Fault::IgnoresIndices,
        "an impossible index is believed",
    );
}

#[test]
fn a_driver_that_hangs_is_found() {
    found("answers", 1000, Fault::Hangs, "asks for nothing");
}

#[test]
fn a_frontend_that_does_not_recover_is_found() {
    found("lies", 10, Fault::StaysHalted, "not in one of [4]");
}

#[test]
fn a_frontend_that_connects_to_a_keeper_is_found() {
    found("keeps", 10, Fault::ConnectsAgain, "not in one of [6]");
}

#[test]
fn a_frontend_that_frees_what_may_be_written_is_found() {
    found("late", 1, Fault::FreesAtOnce, "a request's page is gone");
}

#[test]
fn a_frontend_that_waits_for_ever_is_found() {
    found("mute", 1, Fault::Waits, "not in one of [6]");
}
