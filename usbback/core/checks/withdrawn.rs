// SPDX-License-Identifier: GPL-2.0

//! A port reset is a request's, but it is not forgotten with the request.

use super::request::*;
use usbback_core::*;

const GET_STATUS: [u8; 8] = [0x80, 0, 0, 0, 0, 0, 0, 0];

/// A port whose device has address 1 and is busy, with so many requests to
/// address 0 behind that, the first of which asks for a reset.
fn busy(waiting: usize) -> Port<()> {
    let mut port = Port::attach((), false);
    assert_eq!(
        port.request(slot(0), &control(0, [0, 5, 1, 0, 0, 0, 0, 0])),
        None
    );
    assert!(matches!(port.next(false), Some(Verdict::Answer(..))));
    assert_eq!(port.request(slot(0), &control(1, SET_CONFIGURATION)), None);
    assert!(matches!(port.next(false), Some(Verdict::Run(Some(_), _))));
    for number in 1..=waiting {
        assert_eq!(port.request(slot(number), &control(0, GET_STATUS)), None);
        assert_eq!(port.next(false), None);
    }
    port
}

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_withdrawn))]
mod pvusb_withdrawn {
    use super::*;

    #[test]
    fn the_next_request_takes_over_the_reset() {
        let mut port = busy(2);
        assert!(port.withdraw(slot(1)));
        port.done(true);
        assert_eq!(port.next(false), Some(Verdict::Run(None, Operation::Reset)));
        port.done(true);
        assert_eq!(port.next(false), Some(Verdict::Submit(slot(2))));
        assert_eq!(port.next(false), None);
    }

    #[test]
    fn without_one_the_next_to_come_asks_again() {
        let mut port = busy(1);
        assert!(port.withdraw(slot(1)));
        assert!(!port.withdraw(slot(1))); // twice
        port.done(true);
        assert_eq!(port.next(false), None);
        assert_eq!(port.request(slot(3), &control(0, GET_STATUS)), None);
        assert_eq!(port.next(false), Some(Verdict::Run(None, Operation::Reset)));
    }

    /// One that asked for no reset leaves none behind.
    #[test]
    fn no_reset_comes_from_nowhere() {
        let mut port = busy(2);
        assert!(port.withdraw(slot(2)));
        port.done(true);
        assert_eq!(port.next(false), Some(Verdict::Run(None, Operation::Reset)));
        port.done(true);
        assert_eq!(port.next(false), Some(Verdict::Submit(slot(1))));
        assert_eq!(port.request(slot(2), &control(0, GET_STATUS)), None);
        assert_eq!(port.next(true), Some(Verdict::Submit(slot(2))));
    }

    #[test]
    fn nothing_waits_on_an_empty_port() {
        let mut port: Port<()> = Port::Empty;
        assert!(!port.withdraw(slot(0)));
        port.done(true);
        assert_eq!(port.next(false), None);
        assert_eq!(port.detach().count(), 0);
    }
}
