// SPDX-License-Identifier: GPL-2.0

//! Every check with random bytes, and with the corpus of its fuzz target.

use invariants::CHECKS;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

/// Long enough for some hundred steps.
const BYTES: usize = 1200;

fn run(name: &str) {
    let &(_, check) = CHECKS.iter().find(|(other, _)| *other == name).unwrap();
    let corpus = format!("{}/../fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut seeds = 0;
    for file in std::fs::read_dir(&corpus).expect(&corpus) {
        check(&std::fs::read(file.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds > 0, "{corpus} is empty");
    let bytes = prop::collection::vec(any::<u8>(), 0..BYTES);
    // A failure's bytes belong into the corpus.
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&bytes, |bytes| {
            check(&bytes);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

macro_rules! each {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn none_is_missing() {
            let here = [$(stringify!($name)),*];
            let all: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
            assert_eq!(here[..], all[..]);
        }
    };
}

each! {
    backend claim connection_event control copy descriptor frontend hub nodes plan request
    response ring_back ring_front ring_pair rule
}
