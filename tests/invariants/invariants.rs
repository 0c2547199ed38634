// SPDX-License-Identifier: GPL-2.0

//! What has to hold whatever the bytes are.
//!
//! Every check takes bytes and panics when something does not hold. The bytes
//! are a message of the other domain, or choices: what happens next. So one
//! source serves the property tests of the crates, which make the bytes at
//! random, the fuzz targets of `tests/fuzz`, which make them by coverage, and
//! the corpus, which keeps them.

pub mod backend;
pub mod claim;
pub mod control;
pub mod copy;
pub mod engine;
pub mod frontend;
pub mod hub;
pub mod names;
pub mod page;
pub mod pair;
pub mod plan;
pub mod ring_end;
pub mod wire;

pub use arbitrary::Unstructured as Choices;

/// Every check by its name, which is that of its fuzz target and its corpus.
pub const CHECKS: &[(&str, fn(&[u8]))] = &[
    ("backend", backend::any),
    ("claim", claim::any),
    ("connection_event", wire::connection_event),
    ("control", control::meaning),
    ("copy", copy::any),
    ("descriptor", wire::descriptor),
    ("frontend", frontend::any),
    ("hub", hub::any),
    ("nodes", names::nodes),
    ("plan", plan::any),
    ("request", wire::request),
    ("response", wire::response),
    ("ring_back", ring_end::back),
    ("ring_front", ring_end::front),
    ("ring_pair", pair::queues),
    ("rule", names::rule),
];
