// SPDX-License-Identifier: GPL-2.0

//! What an administrator or a toolstack writes.

use usbback_core::{
    admit, BadRule, BusName, Dialect, Incomplete, LibxlName, References, Rule, Taken,
    DOMID_FIRST_RESERVED,
};

/// A rule: what is read is written the same way, and its numbers are in range.
pub fn rule(bytes: &[u8]) {
    match Rule::parse(bytes) {
        Err(BadRule) => {}
        Ok(rule) => {
            let text = rule.to_string();
            let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            assert_eq!(text.as_bytes(), line);
            assert!(rule.target.domid < DOMID_FIRST_RESERVED);
            assert_eq!(admit([], &rule), Ok(()));
            assert_eq!(admit([&rule], &rule), Err(Taken::Same));
            bus_name(rule.busname.as_bytes());
        }
    }
    bus_name(bytes);
}

/// A bus name: what is read is written the same way, and its last number is the
/// port of what is before it.
pub fn bus_name(bytes: &[u8]) {
    let Some(name) = BusName::parse(bytes) else {
        return;
    };
    assert_eq!(name.as_bytes(), bytes);
    let text = name.as_str();
    assert_eq!(text.as_bytes(), bytes);
    assert_eq!(format!("{name}"), text);
    assert_eq!(format!("{}", LibxlName(&name)), text.replace('.', "_"));
    let (hub, port) = match text.rsplit_once('.') {
        Some((hub, port)) => (hub.to_string(), port),
        None => {
            let (bus, port) = text.split_once('-').unwrap();
            (format!("usb{bus}"), port)
        }
    };
    let port: u8 = port.parse().unwrap();
    assert!(port > 0);
    assert_eq!(name.port_on(hub.as_bytes()), Some(port));
    assert_eq!(name.port_on(bytes), None);
    assert!(text.split(['-', '.']).count() <= 7);
}

/// The nodes that a frontend has published.
pub fn references(references: &References) {
    match references.dialect() {
        Ok(Dialect::Usbif {
            urb_ring,
            conn_ring,
            event_channel,
        }) => {
            assert_eq!(references.urb_ring, Some(urb_ring));
            assert_eq!(references.conn_ring, Some(conn_ring));
            assert_eq!(references.event_channel, Some(event_channel));
        }
        Ok(Dialect::Old {
            ring,
            event_channel,
        }) => {
            assert_eq!(references.urb_ring, None);
            assert_eq!(references.ring, Some(ring));
            assert_eq!(references.event_channel, Some(event_channel));
        }
        Err(Incomplete(node)) => {
            let value = match node {
                "urb-ring-ref" => references.urb_ring.or(references.ring),
                "conn-ring-ref" => references.conn_ring,
                "event-channel" => references.event_channel,
                _ => panic!("no such node: {node}"),
            };
            assert_eq!(value, None);
        }
    }
}

/// Bytes as nodes: a mask of those that are there, then their values.
pub fn nodes(bytes: &[u8]) {
    let mut choices = crate::Choices::new(bytes);
    let mask: u8 = choices.arbitrary().unwrap_or(0);
    let mut node = |bit: u8| (mask & bit != 0).then(|| choices.arbitrary().unwrap_or(0));
    references(&References {
        urb_ring: node(1),
        conn_ring: node(2),
        ring: node(4),
        event_channel: node(8),
    });
}
