// SPDX-License-Identifier: GPL-2.0

//! Rules: what is one and what is none.

use core::fmt::{self, Display, Write};
use usbback_core::*;
use usbif::PortNumber;

/// What has yet to be written.
struct Expected<'a>(&'a str);

impl Write for Expected<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Whether something is written as this text.
fn is_written(what: &impl Display, text: &str) -> bool {
    let mut expected = Expected(text);
    write!(expected, "{what}").is_ok() && expected.0.is_empty()
}

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_rules))]
mod pvusb_rules {
    use super::*;

    #[test]
    fn the_examples_of_2009() {
        for text in ["1-2.3:1:0:3", "1-4:2:0:1", "4-1:2:0:2"] {
            assert!(is_written(&Rule::parse(text.as_bytes()).unwrap(), text));
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
            assert_eq!((text, Rule::parse(text)), (text, Err(BadRule)));
        }
        assert_eq!(Rule::parse(&[b'1'; 5000]), Err(BadRule));
    }

    #[test]
    fn the_bounds_are_in() {
        for text in ["65535-255.255.255.255.255.255:32751:65535:31", "1-1:0:0:1"] {
            assert!(is_written(&Rule::parse(text.as_bytes()).unwrap(), text));
        }
    }

    #[test]
    fn libxl_spells_dots_otherwise() {
        for (name, spelled) in [("1-2.3.4", "1-2_3_4"), ("12-1", "12-1")] {
            let name = BusName::parse(name.as_bytes()).unwrap();
            assert!(is_written(&LibxlName(&name), spelled));
        }
    }
}
