// SPDX-License-Identifier: GPL-2.0

//! Rules: what is one, what is none, and which can stand beside each other.

use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use usbback_core::*;

fn busname() -> impl Strategy<Value = String> {
    (1u32..=65_535, prop::collection::vec(1u8..=255, 1..=6)).prop_map(|(bus, ports)| {
        let ports: Vec<_> = ports.iter().map(u8::to_string).collect();
        format!("{bus}-{}", ports.join("."))
    })
}

fn text() -> impl Strategy<Value = String> {
    (busname(), 0u16..=32_751, any::<u16>(), 1u8..=31)
        .prop_map(|(bus, domid, vusb, port)| format!("{bus}:{domid}:{vusb}:{port}"))
}

proptest! {
    #[test]
    fn formats_what_it_parses(text in text()) {
        invariants::names::rule(text.as_bytes());
        let rule = Rule::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(rule.to_string(), text.clone());
        prop_assert_eq!(Rule::parse(format!("{text}\n").as_bytes()), Ok(rule));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        invariants::names::rule(&bytes);
    }

    #[test]
    fn one_wrong_byte_is_no_rule_or_another(text in text(), at in any::<prop::sample::Index>(), byte: u8) {
        let rule = Rule::parse(text.as_bytes()).unwrap();
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        prop_assert_ne!(Rule::parse(&bytes), Ok(rule));
    }

    /// Against two maps, one for each thing that may be used once.
    #[test]
    fn nothing_is_used_twice(rules in prop::collection::vec((1u8..6, 1u16..4, 1u8..4), 0..60)) {
        let mut table: Vec<Rule> = Vec::new();
        let mut places = HashMap::new();
        let mut targets = HashSet::new();
        for (place, domid, port) in rules {
            let rule = Rule::parse(format!("1-{place}:{domid}:0:{port}").as_bytes()).unwrap();
            let free = !places.contains_key(&place) && !targets.contains(&(domid, port));
            let admitted = admit(&table, &rule);
            prop_assert_eq!(admitted.is_ok(), free);
            if let Err(taken) = admitted {
                prop_assert_eq!(taken == Taken::Same, places.get(&place) == Some(&(domid, port)));
                continue;
            }
            table.push(rule);
            places.insert(place, (domid, port));
            targets.insert((domid, port));
        }
    }

    #[test]
    fn a_place_knows_its_hub(ports in prop::collection::vec(1u8..=255, 1..=6), bus in 1u16..=65_535) {
        let join = |ports: &[u8]| ports.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
        let name = BusName::parse(format!("{bus}-{}", join(&ports)).as_bytes()).unwrap();
        let (last, parents) = ports.split_last().unwrap();
        let hub = if parents.is_empty() { format!("usb{bus}") } else { format!("{bus}-{}", join(parents)) };
        prop_assert_eq!(name.port_on(hub.as_bytes()), Some(*last));
        prop_assert_eq!(name.port_on(b"usb0"), None);
        prop_assert_eq!(name.port_on(format!("{hub}9").as_bytes()), None);
    }
}
