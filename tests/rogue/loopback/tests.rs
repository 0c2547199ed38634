// SPDX-License-Identifier: GPL-2.0

//! Every attack against a good backend, and bad backends against the attacks.

use super::backend::{create, Backend, Fault};
use super::stick::DESCRIPTOR;
use super::{World, HERE};
use crate::attack::{Target, ATTACKS};
use crate::{attack, run, Options, Result};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use usbif::PortNumber;

fn attempt(name: &str, count: u64, fault: Fault) -> Result<()> {
    let world = Arc::<World>::default();
    create(&world);
    HERE.set(world.clone());
    let backend = Backend::new(world.clone(), fault);
    let options = Options {
        vusb: 0,
        targets: vec![Target {
            port: PortNumber::new(1).ok_or("no port 1")?,
            stick: true,
            descriptor: DESCRIPTOR.to_vec(),
        }],
        seed: 7,
        count,
        attacks: vec![attack::find(name).ok_or("no such attack")?],
    };
    thread::scope(|scope| {
        scope.spawn(|| backend.run());
        let done = run(&options);
        world.over.store(true, Ordering::Relaxed);
        done
    })
}

/// What a good backend survives, in numbers that take a second.
const COUNTS: [(&str, u64); 16] = [
    ("fields", 600),
    ("rewrite", 300),
    ("grants", 200),
    ("unlinks", 400),
    ("producers", 20),
    ("conn", 20),
    ("events", 1000),
    ("nodes", 60),
    ("states", 60),
    ("renegotiate", 10),
    ("storms", 20),
    ("vanish", 5),
    ("old", 40),
    ("suspends", 400),
    ("halts", 400),
    ("clings", 40),
];

#[test]
fn a_good_backend_survives() {
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
fn a_lost_answer_is_found() {
    found("fields", 600, Fault::Forgets, "answered");
}

#[test]
fn an_answer_to_nobody_is_found() {
    found("unlinks", 400, Fault::WrongId, "answered but not due");
}

#[test]
fn a_wrong_byte_is_found() {
    found(
        "events",
        1,
        Fault::Garbles,
        "does not hold what was written",
    );
}

#[test]
fn segments_of_a_list_in_the_wrong_order_are_found() {
    found(
        "events",
        1,
        Fault::SwapsSegments,
        "does not hold what was written",
    );
}

#[test]
fn a_wrong_byte_is_found_without_a_conn_ring() {
    found("old", 1, Fault::Garbles, "does not hold what was written");
}

#[test]
fn a_backend_that_insists_on_a_conn_ring_is_found() {
    found("old", 1, Fault::RefusesOld, "refuses an honest frontend");
}

#[test]
fn a_page_that_must_not_be_written_is_watched() {
    found(
        "grants",
        200,
        Fault::WritesReadOnly,
        "not the backend's to write",
    );
}

#[test]
fn a_request_lost_by_its_unlink_is_found() {
    found("unlinks", 400, Fault::DropsUnlinked, "are not answered");
}

#[test]
fn a_producer_that_is_believed_is_found() {
    found(
        "producers",
        20,
        Fault::TrustsProducer,
        "the backend is in state 4",
    );
}

#[test]
fn a_backend_that_does_not_recover_is_found() {
    found(
        "nodes",
        20,
        Fault::StaysClosed,
        "refuses an honest frontend",
    );
}
