// SPDX-License-Identifier: GPL-2.0

//! A guest that suspends its device, and what wakes it.

use super::request::*;
use usbback_core::*;
use usbif::*;

const GET_STATUS: [u8; 8] = [0x80, 0, 0, 0, 0, 0, 0, 0];
const SET_WAKEUP: [u8; 8] = [0, 3, 1, 0, 0, 0, 0, 0];
const CLEAR_WAKEUP: [u8; 8] = [0, 1, 1, 0, 0, 0, 0, 0];

/// A port whose device has address 1.
fn addressed() -> Port<()> {
    let mut port = Port::attach((), false);
    assert_eq!(port.request(slot(0), &control(0, set_address(1))), None);
    assert!(matches!(port.next(false), Some(Verdict::Answer(..))));
    port
}

/// A port whose device is suspended.
fn suspended() -> Port<()> {
    let mut port = addressed();
    assert!(matches!(
        port.suspend(slot(0), false),
        Verdict::Run(Some(_), Operation::Suspend { .. })
    ));
    assert!(!port.done(false));
    port
}

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_suspend))]
mod pvusb_suspend {
    use super::*;

    #[test]
    fn a_request_wakes_the_device_first() {
        let mut port = suspended();
        assert_eq!(port.next(false), None);
        assert_eq!(port.request(slot(1), &control(1, GET_STATUS)), None);
        assert_eq!(
            port.next(false),
            Some(Verdict::Run(None, Operation::Resume))
        );
        assert_eq!(port.next(false), None);
        let bulk = submit(1, 1, Kind::Bulk);
        assert_eq!(
            port.request(slot(2), &bulk),
            Some(Verdict::Answer(slot(2), Status::Shutdown))
        );
        // What it does is no news to the guest.
        assert!(!port.done(true));
        assert_eq!(port.next(false), Some(Verdict::Submit(slot(1))));
        assert!(!port.woke());
        assert_eq!(port.request(slot(2), &bulk), Some(Verdict::Submit(slot(2))));
    }

    #[test]
    fn other_endpoints_of_a_suspended_device_are_shut() {
        let mut port = suspended();
        let bulk = submit(1, 1, Kind::Bulk);
        assert_eq!(
            port.request(slot(1), &bulk),
            Some(Verdict::Answer(slot(1), Status::Shutdown))
        );
    }

    /// An operation begins with the device awake, whatever it is.
    #[test]
    fn an_operation_needs_no_resume() {
        let mut port = suspended();
        assert_eq!(port.request(slot(1), &control(1, SET_CONFIGURATION)), None);
        assert_eq!(
            port.next(false),
            Some(Verdict::Run(Some(slot(1)), Operation::SetConfiguration(1)))
        );
        assert!(!port.done(true));
        let mut port = suspended();
        assert_eq!(port.request(slot(1), &control(0, GET_STATUS)), None);
        assert_eq!(port.next(false), Some(Verdict::Run(None, Operation::Reset)));
        assert!(!port.done(true));
        assert_eq!(port.next(false), Some(Verdict::Submit(slot(1))));
    }

    #[test]
    fn a_device_that_wakes_is_told_of_once() {
        let mut port = suspended();
        assert!(port.woke());
        assert!(!port.woke());
        assert_eq!(port.request(slot(1), &control(1, GET_STATUS)), None);
        assert_eq!(port.next(false), Some(Verdict::Submit(slot(1))));
        assert!(!Port::<()>::Empty.woke());
    }

    /// It may wake before the worker has seen that it is suspended.
    #[test]
    fn a_device_that_wakes_at_once_is_told_of() {
        let mut port = addressed();
        let _ = port.suspend(slot(0), false);
        assert!(!port.woke());
        assert!(port.done(true));
        assert!(!port.woke());
    }

    #[test]
    fn a_device_in_use_is_not_suspended() {
        let stall = Verdict::Answer(slot(3), Status::Stall);
        assert_eq!(addressed().suspend(slot(3), true), stall);
        assert_eq!(Port::attach((), false).suspend(slot(3), false), stall);
        assert_eq!(Port::attach((), true).suspend(slot(3), false), stall);
        let mut port = addressed();
        let _ = port.suspend(slot(0), false);
        // The first one is not over.
        assert_eq!(port.suspend(slot(3), false), stall);
        assert!(!port.done(false));
        assert_eq!(
            port.suspend(slot(3), false),
            Verdict::Answer(slot(3), Status::Ok)
        );
        assert_eq!(
            Port::<()>::Empty.suspend(slot(3), false),
            Verdict::Answer(slot(3), Status::NoDevice)
        );
    }

    /// The permission to wake up holds for one suspension.
    #[test]
    fn a_device_wakes_up_if_it_may() {
        let mut port = addressed();
        let suspend = |port: &mut Port<()>, requests: &[[u8; 8]]| {
            for setup in requests {
                assert_eq!(port.request(slot(1), &control(1, *setup)), None);
                assert_eq!(port.next(false), Some(Verdict::Submit(slot(1))));
            }
            let Verdict::Run(_, Operation::Suspend { wakeup }) = port.suspend(slot(0), false)
            else {
                panic!("it has to be suspended");
            };
            assert!(port.done(true));
            wakeup
        };
        assert!(!suspend(&mut port, &[]));
        assert!(suspend(&mut port, &[SET_WAKEUP]));
        assert!(!suspend(&mut port, &[]));
        assert!(!suspend(&mut port, &[SET_WAKEUP, CLEAR_WAKEUP]));
    }

    #[test]
    fn only_the_standard_request_allows_to_wake() {
        let of = |setup| remote_wakeup(&SetupPacket(setup));
        assert_eq!(of(SET_WAKEUP), Some(true));
        assert_eq!(of(CLEAR_WAKEUP), Some(false));
        for setup in [
            [0x40, 3, 1, 0, 0, 0, 0, 0],
            [1, 3, 1, 0, 0, 0, 0, 0],
            [0, 3, 2, 0, 0, 0, 0, 0],
            [0, 3, 1, 1, 0, 0, 0, 0],
            [0, 3, 1, 0, 1, 0, 0, 0],
            [0, 3, 1, 0, 0, 0, 1, 0],
            [0, 9, 1, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(of(setup), None);
        }
    }

    #[test]
    fn what_wakes_is_said_again() {
        let mut events = Events::EMPTY;
        events.wake();
        assert_eq!(events.peek(), None);
        events.set(Speed::Low);
        // Not told yet: once is enough.
        events.wake();
        assert_eq!(events.peek(), Some(Speed::Low));
        events.sent();
        assert_eq!(events.peek(), None);
        events.wake();
        events.wake();
        assert_eq!(events.peek(), Some(Speed::Low));
        events.sent();
        assert_eq!(events.peek(), None);
        // Another device has not woken up.
        events.wake();
        events.set(Speed::Low);
        assert_eq!(events.peek(), Some(Speed::None));
        events.sent();
        assert_eq!(events.peek(), Some(Speed::Low));
        events.sent();
        assert_eq!(events.peek(), None);
        // Nor has one that is gone.
        events.wake();
        events.set(Speed::None);
        assert_eq!(events.peek(), Some(Speed::None));
        events.sent();
        assert_eq!(events.peek(), None);
        // Nor is it news for who did not suspend it.
        events.set(Speed::Low);
        events.sent();
        events.wake();
        events.forget();
        events.sent();
        assert_eq!(events.peek(), None);
    }
}
