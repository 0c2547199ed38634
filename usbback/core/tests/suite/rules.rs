// SPDX-License-Identifier: GPL-2.0

//! Rules: what is one, what is none, and which can stand beside each other.

use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use usbback_core::*;
use usbif::PortNumber;

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

#[test]
fn the_examples_of_2009() {
    for text in ["1-2.3:1:0:3", "1-4:2:0:1", "4-1:2:0:2"] {
        assert_eq!(Rule::parse(text.as_bytes()).unwrap().to_string(), text);
    }
    let rule = Rule::parse(b"1-2.3:1:0:3\n").unwrap();
    assert_eq!(rule.busname.as_str(), "1-2.3");
    assert_eq!(
        rule.target,
        Target {
            domid: 1,
            vusb: 0,
            port: PortNumber::new(3).unwrap()
        }
    );
}

#[test]
fn forty_and_more_bad_lines() {
    let bad: &[&[u8]] = &[
        b"",
        b"\n",
        b":",
        b":::",
        b"::::",
        b"1-1",
        b"1-1:",
        b"1-1:1",
        b"1-1:1:0",
        b"1-1:1:0:",
        b"1-1:1::1",
        b"1-1::0:1",
        b":1:0:1",
        b"1-1:1:0:1:",
        b"1-1:1:0:1:1",
        b"1-1:1:0:0",
        b"1-1:1:0:32",
        b"1-1:1:0:256",
        b"1-1:1:0:-1",
        b"1-1:-1:0:1",
        b"1-1:1:-1:1",
        b"1-1:+1:0:1",
        b"1-1:32752:0:1",
        b"1-1:65536:0:1",
        b"1-1:4294967297:0:1",
        b"1-1:1:65536:1",
        b"1-1:1:99999999999999999999:1",
        b"1-1:0x1:0:1",
        b"1-1:01:0:1",
        b"1-1:1:00:1",
        b"1-1:1:0:01",
        b"01-1:1:0:1",
        b"1-01:1:0:1",
        b"0-1:1:0:1",
        b"1-0:1:0:1",
        b"1-1.0:1:0:1",
        b"1-256:1:0:1",
        b"65536-1:1:0:1",
        b"1:1:0:1",
        b"1-:1:0:1",
        b"-1:1:0:1",
        b"1-1.:1:0:1",
        b"1-.1:1:0:1",
        b"1-1..1:1:0:1",
        b"1.1:1:0:1",
        b"1-1-1:1:0:1",
        b"usb1:1:0:1",
        b"1-1.1.1.1.1.1.1:1:0:1",
        b"1-1:1.0:1:0:1",
        b" 1-1:1:0:1",
        b"1-1:1:0:1 ",
        b"1-1 :1:0:1",
        b"1-1:1:0:1\n\n",
        b"1-1:1:0:1\r\n",
        b"1-1:1:0:1\0",
        b"1-1:1:0:1\n1-2:1:0:2",
        b"\x001-1:1:0:1",
        b"1-1;1;0;1",
        b"1-1:one:0:1",
        b"a-b:1:0:1",
        b"1-1:1:0:1\t",
        b"\xff\xfe",
        "1-1:1:0:\u{661}".as_bytes(),
        b"1_1:1:0:1",
        b"1--1:1:0:1",
    ];
    for text in bad {
        assert_eq!(Rule::parse(text), Err(BadRule), "{text:?}");
    }
    assert_eq!(Rule::parse(&[b'1'; 5000]), Err(BadRule));
}

#[test]
fn the_bounds_are_in() {
    for text in ["65535-255.255.255.255.255.255:32751:65535:31", "1-1:0:0:1"] {
        assert_eq!(Rule::parse(text.as_bytes()).unwrap().to_string(), text);
    }
}

#[test]
fn libxl_spells_dots_otherwise() {
    for (name, spelled) in [("1-2.3.4", "1-2_3_4"), ("12-1", "12-1")] {
        let name = BusName::parse(name.as_bytes()).unwrap();
        assert_eq!(LibxlName(&name).to_string(), spelled);
    }
}
