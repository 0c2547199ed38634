// SPDX-License-Identifier: GPL-2.0

//! A guest's port: addresses, resets, order.

use super::request::*;
use usbback_core::*;
use usbif::*;

/// A request that nothing is in the way of.
fn ask(port: &mut Port<()>, slot: Index, submit: &Submit) -> Option<Verdict> {
    port.request(slot, submit).or_else(|| port.next(false))
}

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_port))]
mod pvusb_port {
    use super::*;

    #[test]
    fn enumeration_resets_once_there_was_an_address() {
        let mut port = Port::attach((), false);
        let s = slot(0);
        assert_eq!(
            ask(&mut port, s, &control(0, GET_DESCRIPTOR)),
            Some(Verdict::Submit(s))
        );
        assert_eq!(
            ask(&mut port, s, &control(0, set_address(5))),
            Some(Verdict::Answer(s, Status::Ok))
        );
        assert_eq!(
            ask(&mut port, s, &control(5, GET_DESCRIPTOR)),
            Some(Verdict::Submit(s))
        );
        assert_eq!(
            ask(&mut port, s, &submit(5, 1, Kind::Bulk)),
            Some(Verdict::Submit(s))
        );
        assert_eq!(
            ask(&mut port, s, &submit(4, 1, Kind::Bulk)),
            Some(Verdict::Answer(s, Status::NoDevice))
        );
        assert_eq!(
            ask(&mut port, s, &control(0, GET_DESCRIPTOR)),
            Some(Verdict::Run(None, Operation::Reset))
        );
        port.done(true);
        assert_eq!(port.next(false), Some(Verdict::Submit(s)));
        assert_eq!(port.next(false), None);
        // The reset took the address away.
        assert_eq!(
            ask(&mut port, s, &submit(5, 1, Kind::Bulk)),
            Some(Verdict::Answer(s, Status::NoDevice))
        );
        assert_eq!(
            ask(&mut port, s, &control(0, GET_DESCRIPTOR)),
            Some(Verdict::Submit(s))
        );
    }

    #[test]
    fn a_used_device_is_reset_first() {
        let mut port = Port::attach((), true);
        assert_eq!(
            ask(&mut port, slot(3), &control(0, set_address(1))),
            Some(Verdict::Run(None, Operation::Reset))
        );
        port.done(true);
        assert_eq!(port.next(false), Some(Verdict::Answer(slot(3), Status::Ok)));
    }

    #[test]
    fn what_flies_comes_back_before_later_answers() {
        let mut port = Port::attach((), false);
        ask(&mut port, slot(0), &control(0, set_address(1)));
        let flying = ask(&mut port, slot(0), &control(1, GET_DESCRIPTOR));
        assert_eq!(flying, Some(Verdict::Submit(slot(0))));
        // An operation may fail at once, so it waits, and all behind it.
        assert_eq!(port.request(slot(1), &control(1, SET_CONFIGURATION)), None);
        assert_eq!(port.next(true), None);
        assert_eq!(port.request(slot(2), &control(1, GET_DESCRIPTOR)), None);
        assert_eq!(port.next(true), None);
        assert_eq!(
            port.next(false),
            Some(Verdict::Run(Some(slot(1)), Operation::SetConfiguration(1)))
        );
        assert_eq!(port.next(false), None);
        port.done(true);
        assert_eq!(port.next(false), Some(Verdict::Submit(slot(2))));
    }

    #[test]
    fn a_reset_does_not_wait_for_what_flies() {
        let mut port = Port::attach((), false);
        ask(&mut port, slot(0), &control(0, set_address(1)));
        ask(&mut port, slot(0), &control(1, GET_DESCRIPTOR));
        assert_eq!(port.request(slot(1), &control(0, GET_DESCRIPTOR)), None);
        assert_eq!(port.next(true), Some(Verdict::Run(None, Operation::Reset)));
    }

    #[test]
    fn data_waits_while_endpoints_change() {
        const SET_INTERFACE: [u8; 8] = [1, 11, 1, 0, 0, 0, 0, 0];
        const CLEAR_HALT: [u8; 8] = [2, 1, 0, 0, 0x01, 0, 0, 0];
        let bulk = submit(1, 1, Kind::Bulk);
        for setup in [SET_CONFIGURATION, SET_INTERFACE, CLEAR_HALT] {
            let mut port = Port::attach((), false);
            ask(&mut port, slot(0), &control(0, set_address(1)));
            assert_eq!(port.request(slot(0), &control(1, setup)), None);
            // It has not begun.
            assert_eq!(port.request(slot(1), &bulk), Some(Verdict::Submit(slot(1))));
            assert!(matches!(port.next(false), Some(Verdict::Run(Some(_), _))));
            assert_eq!(port.request(slot(2), &bulk), None);
            // One endpoint is no other.
            let other = port.request(slot(6), &submit(1, 2, Kind::Bulk));
            assert_eq!(other.is_some(), setup == CLEAR_HALT);
            assert!(other.is_some() || port.withdraw(slot(6)));
            assert_eq!(port.request(slot(3), &control(1, GET_DESCRIPTOR)), None);
            assert_eq!(port.next(false), None);
            port.done(true);
            // The next one of its endpoint does not overtake it.
            assert_eq!(port.request(slot(4), &bulk), None);
            for number in 2..5 {
                assert_eq!(port.next(true), Some(Verdict::Submit(slot(number))));
            }
            assert_eq!(port.next(false), None);
            assert_eq!(port.request(slot(5), &bulk), Some(Verdict::Submit(slot(5))));
        }
    }

    #[test]
    fn data_that_waits_can_be_withdrawn() {
        let mut port = Port::attach((), false);
        ask(&mut port, slot(0), &control(0, set_address(1)));
        ask(&mut port, slot(0), &control(1, SET_CONFIGURATION));
        let bulk = submit(1, 1, Kind::Bulk);
        assert_eq!(port.request(slot(1), &bulk), None);
        assert_eq!(port.request(slot(2), &bulk), None);
        assert!(port.withdraw(slot(1)));
        assert!(!port.withdraw(slot(1)));
        port.done(true);
        assert_eq!(port.next(false), Some(Verdict::Submit(slot(2))));
        assert_eq!(port.next(false), None);
    }

    #[test]
    fn only_the_standard_request_is_an_address() {
        // FTDI's GET_MODEM_STATUS, and class requests with the same number.
        for request_type in [0xc0, 0x40, 0x20, 0xa1] {
            let setup = SetupPacket([request_type, 5, 7, 0, 0, 0, 0, 0]);
            let meaning = (request_type, Meaning::of(&setup));
            assert_eq!(meaning, (request_type, Meaning::Device));
        }
        // What a device may take for one, the wrong recipient or data in either direction.
        for setup in [
            [0, 5, 128, 0, 0, 0, 0, 0],
            [0, 5, 1, 1, 0, 0, 0, 0],
            [0, 5, 1, 0, 0, 0, 1, 0],
            [0x80, 5, 1, 0, 0, 0, 1, 0],
            [0x01, 5, 1, 0, 0, 0, 0, 0],
            [0x83, 5, 1, 0, 0, 0, 0, 0],
            [0x81, 9, 1, 0, 0, 0, 0, 0],
            [0x80, 11, 1, 0, 0, 0, 0, 0],
            [0x82, 1, 0, 0, 0x81, 0, 1, 0],
        ] {
            let meaning = (setup, Meaning::of(&SetupPacket(setup)));
            assert_eq!(meaning, (setup, Meaning::Answer(Status::Stall)));
        }
    }

    #[test]
    fn without_data_there_is_no_direction() {
        let out = [
            set_address(7),
            SET_CONFIGURATION,
            [1, 11, 1, 0, 2, 0, 0, 0],
            [2, 1, 0, 0, 0x83, 0, 0, 0],
        ];
        for setup in out {
            let mut bit = setup;
            bit[0] |= 0x80;
            let [meaning, same] = [setup, bit].map(|setup| Meaning::of(&SetupPacket(setup)));
            assert_ne!(meaning, Meaning::Device);
            assert_eq!(same, meaning);
        }
    }

    #[test]
    fn a_halt_is_cleared_by_the_core() {
        let halt = |index: u8| Meaning::of(&SetupPacket([2, 1, 0, 0, index, 0, 0, 0]));
        assert_eq!(halt(0x80), Meaning::Device);
        assert_eq!(
            halt(0x83),
            Meaning::Core(Operation::ClearHalt {
                endpoint: 3,
                direction: Direction::In
            })
        );
        assert_eq!(halt(0x13), Meaning::Answer(Status::Stall));
    }

    #[test]
    fn an_empty_port_has_no_device() {
        let mut port: Port<()> = Port::Empty;
        assert_eq!(
            ask(&mut port, slot(0), &control(0, GET_DESCRIPTOR)),
            Some(Verdict::Answer(slot(0), Status::NoDevice))
        );
    }
}
