// SPDX-License-Identifier: GPL-2.0

//! Suspended ports whose devices the backend suspends, and wakes.

use super::root_hub::*;
use usbfront_core::*;
use usbif::Speed;

const SUSPENDED: u16 = 0x0107;
const ENABLED: u16 = 0x0103;
const C_SUSPEND: u16 = 0x0004;

/// A hub with an enabled full speed device on each port, at time 100.
fn enabled(carries: bool) -> RootHub {
    let mut hub = hub(4, UsbVersion::Usb20);
    hub.carry_suspend(carries);
    for number in 1..=4u8 {
        let index = u16::from(number);
        hub.connect(port(number), Speed::Full).unwrap();
        hub.control(CLEAR, 16, index, 0, &mut []).unwrap();
        hub.control(SET, 4, index, 0, &mut []).unwrap();
        assert_eq!(status(&mut hub, index, 100).0, ENABLED);
        hub.control(CLEAR, 20, index, 100, &mut []).unwrap();
    }
    hub
}

fn suspend(hub: &mut RootHub, number: u16, now: Millis) -> Result<usize, HubStall> {
    hub.control(SET, 2, number, now, &mut [])
}

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_port_suspend))]
mod pvusb_port_suspend {
    use super::*;

    #[test]
    fn each_suspension_is_told_once() {
        let mut hub = enabled(true);
        assert_eq!(hub.next_suspend(), None);
        suspend(&mut hub, 3, 100).unwrap();
        suspend(&mut hub, 2, 100).unwrap();
        assert_eq!(hub.next_suspend(), Some(port(2)));
        assert_eq!(hub.next_suspend(), Some(port(2))); // no room on the ring
        hub.told(port(2));
        assert_eq!(hub.next_suspend(), Some(port(3)));
        hub.told(port(3));
        assert_eq!(hub.next_suspend(), None);
        suspend(&mut hub, 2, 100).unwrap(); // it is
        assert_eq!(hub.next_suspend(), None);
        assert!(!hub.suspend_answered(port(2), true, 100));
        assert_eq!(status(&mut hub, 2, 100), (SUSPENDED, 0));
        assert_eq!(hub.next_suspend(), None);
    }

    #[test]
    fn a_device_wakes_its_port() {
        let mut hub = enabled(true);
        suspend(&mut hub, 1, 100).unwrap();
        hub.told(port(1));
        hub.suspend_answered(port(1), true, 100);
        assert_eq!(hub.connect(port(1), Speed::Full), Ok(true));
        assert_eq!(status(&mut hub, 1, 100), (ENABLED, C_SUSPEND));
        let mut bitmap = [0; 4];
        assert_eq!(hub.status_data(100, &mut bitmap), 1);
        assert_eq!(bitmap, [2, 0, 0, 0]);
        // Nothing is there any more to wake.
        assert_eq!(hub.connect(port(1), Speed::Full), Ok(false));
        hub.control(CLEAR, 18, 1, 100, &mut []).unwrap();
        assert_eq!(status(&mut hub, 1, 100), (ENABLED, 0));
        // The next suspension is told again.
        suspend(&mut hub, 1, 200).unwrap();
        assert_eq!(hub.next_suspend(), Some(port(1)));
    }

    /// Without the extension the backend may repeat itself, and is told nothing.
    #[test]
    fn other_backends_are_not_told_and_do_not_wake() {
        let mut hub = enabled(false);
        suspend(&mut hub, 1, 100).unwrap();
        assert_eq!(hub.next_suspend(), None);
        assert_eq!(hub.connect(port(1), Speed::Full), Ok(false));
        assert_eq!(status(&mut hub, 1, 100), (SUSPENDED, 0));
    }

    #[test]
    fn what_is_resumed_in_time_is_not_told() {
        let mut hub = enabled(true);
        suspend(&mut hub, 1, 100).unwrap();
        hub.control(CLEAR, 2, 1, 100, &mut []).unwrap();
        assert_eq!(hub.next_suspend(), None);
        assert_eq!(status(&mut hub, 1, 120), (ENABLED, C_SUSPEND));
        // While an answer is due, the next one waits.
        suspend(&mut hub, 1, 200).unwrap();
        hub.told(port(1));
        hub.control(CLEAR, 2, 1, 200, &mut []).unwrap();
        status(&mut hub, 1, 220);
        suspend(&mut hub, 1, 300).unwrap();
        assert_eq!(hub.next_suspend(), None);
        hub.suspend_answered(port(1), true, 300);
        assert_eq!(hub.next_suspend(), Some(port(1)));
    }

    #[test]
    fn a_refused_device_stays_awake_for_a_while() {
        let mut hub = enabled(true);
        suspend(&mut hub, 1, 1000).unwrap();
        hub.told(port(1));
        assert!(hub.suspend_answered(port(1), false, 1000));
        assert_eq!(status(&mut hub, 1, 1000), (ENABLED, C_SUSPEND));
        hub.control(CLEAR, 18, 1, 1000, &mut []).unwrap();
        let until = 1000 + REFUSAL_TIME;
        assert_eq!(suspend(&mut hub, 1, until - 1), Err(HubStall));
        assert_eq!(status(&mut hub, 1, until - 1), (ENABLED, 0));
        assert_eq!(hub.next_suspend(), None);
        assert_eq!(suspend(&mut hub, 1, until), Ok(0));
        assert_eq!(hub.next_suspend(), Some(port(1)));
        // Another device has not been refused.
        hub.told(port(1));
        hub.suspend_answered(port(1), false, until);
        hub.connect(port(1), Speed::Low).unwrap();
        hub.control(SET, 4, 1, until, &mut []).unwrap();
        status(&mut hub, 1, until + RESET_TIME);
        assert_eq!(suspend(&mut hub, 1, until + RESET_TIME), Ok(0));
    }

    #[test]
    fn an_answer_about_the_device_before_is_none() {
        let mut hub = enabled(true);
        suspend(&mut hub, 1, 1000).unwrap();
        hub.told(port(1));
        hub.connect(port(1), Speed::None).unwrap();
        hub.connect(port(1), Speed::Full).unwrap();
        assert!(!hub.suspend_answered(port(1), false, 1000));
        assert_eq!(status(&mut hub, 1, 1000), (0x0101, 0x0001));
        hub.control(SET, 4, 1, 1000, &mut []).unwrap();
        status(&mut hub, 1, 1000 + RESET_TIME);
        assert_eq!(suspend(&mut hub, 1, 2000), Ok(0));
        assert_eq!(hub.next_suspend(), Some(port(1)));
        hub.disconnect_all();
        assert_eq!(hub.next_suspend(), None);
    }
}
