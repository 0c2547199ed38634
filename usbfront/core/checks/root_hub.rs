// SPDX-License-Identifier: GPL-2.0

//! The root hub as the kernel's hub driver uses it, and the lifecycle.

use usbfront_core::*;
use usbif::{PortNumber, Speed};

pub(crate) const GET_PORT_STATUS: u16 = 0xa300;
pub(crate) const SET: u16 = 0x2303;
pub(crate) const CLEAR: u16 = 0x2301;

pub(crate) fn hub(count: u8, version: UsbVersion) -> RootHub {
    let mut hub = RootHub::new(count, version).unwrap();
    for port in 1..=count {
        hub.control(SET, 8, u16::from(port), 0, &mut []).unwrap();
    }
    hub
}

pub(crate) fn status(hub: &mut RootHub, port: u16, now: Millis) -> (u16, u16) {
    let mut answer = [0; 4];
    assert_eq!(
        hub.control(GET_PORT_STATUS, 0, port, now, &mut answer),
        Ok(4)
    );
    (
        u16::from_le_bytes([answer[0], answer[1]]),
        u16::from_le_bytes([answer[2], answer[3]]),
    )
}

pub(crate) fn port(number: u8) -> PortNumber {
    PortNumber::new(number).unwrap()
}

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_root_hub))]
mod pvusb_root_hub {
    use super::*;

    #[test]
    fn a_device_comes_and_goes() {
        let mut hub = hub(8, UsbVersion::Usb20);
        let mut bitmap = [0xaa; 4];
        assert_eq!(hub.status_data(0, &mut bitmap), 0);
        assert_eq!(hub.connect(port(8), Speed::High), Ok(true));
        assert_eq!(hub.connect(port(8), Speed::High), Ok(false)); // said twice
        assert_eq!(hub.status_data(0, &mut bitmap), 2);
        assert_eq!(bitmap[..2], [0, 1]);
        assert_eq!(status(&mut hub, 8, 0), (0x0501, 0x0001));

        hub.control(CLEAR, 16, 8, 0, &mut []).unwrap();
        hub.control(SET, 4, 8, 1000, &mut []).unwrap();
        assert_eq!(status(&mut hub, 8, 1009), (0x0111, 0));
        assert_eq!(status(&mut hub, 8, 1010), (0x0503, 0x0010));
        hub.control(CLEAR, 20, 8, 1010, &mut []).unwrap();
        assert_eq!(hub.status_data(1010, &mut bitmap), 0);

        hub.control(SET, 2, 8, 2000, &mut []).unwrap();
        assert_eq!(status(&mut hub, 8, 2000), (0x0507, 0));
        hub.control(CLEAR, 2, 8, 3000, &mut []).unwrap();
        assert_eq!(status(&mut hub, 8, 3019), (0x0507, 0));
        assert_eq!(status(&mut hub, 8, 3020), (0x0503, 0x0004));
        hub.control(CLEAR, 18, 8, 3020, &mut []).unwrap();
        // C_SUSPEND comes once, not at every look.
        assert_eq!(status(&mut hub, 8, 9999), (0x0503, 0));

        assert_eq!(hub.connect(port(8), Speed::None), Ok(true));
        assert_eq!(status(&mut hub, 8, 9999), (0x0100, 0x0001));
    }

    #[test]
    fn another_device_is_noticed() {
        let mut hub = hub(2, UsbVersion::Usb20);
        for speed in [Speed::High, Speed::None, Speed::High] {
            hub.connect(port(1), speed).unwrap();
        }
        // Connected, changed, and not enabled: not the old one.
        assert_eq!(status(&mut hub, 1, 0), (0x0501, 0x0001));
        hub.control(CLEAR, 16, 1, 0, &mut []).unwrap();
        hub.control(SET, 4, 1, 0, &mut []).unwrap();
        assert_eq!(status(&mut hub, 1, 10).0, 0x0503);
        hub.connect(port(1), Speed::Low).unwrap();
        assert_eq!(status(&mut hub, 1, 10), (0x0301, 0x0011));
        hub.disconnect_all();
        assert_eq!(status(&mut hub, 1, 10), (0x0100, 0x0011));
        assert_eq!(status(&mut hub, 2, 10), (0x0100, 0));
    }

    #[test]
    fn a_device_that_leaves_during_reset() {
        let mut hub = hub(1, UsbVersion::Usb20);
        hub.connect(port(1), Speed::Full).unwrap();
        hub.control(SET, 4, 1, 0, &mut []).unwrap();
        hub.connect(port(1), Speed::None).unwrap();
        assert_eq!(status(&mut hub, 1, 100), (0x0100, 0x0001));
        hub.control(SET, 4, 1, 100, &mut []).unwrap();
        assert_eq!(status(&mut hub, 1, 110), (0x0100, 0x0011)); // no enable
    }

    #[test]
    fn usb_1_has_no_high_speed() {
        let mut hub = hub(1, UsbVersion::Usb11);
        assert_eq!(
            hub.connect(port(1), Speed::High),
            Err(ConnectError::TooFast)
        );
        assert_eq!(status(&mut hub, 1, 0), (0x0100, 0));
        assert_eq!(hub.connect(port(2), Speed::Full), Err(ConnectError::NoPort));
        assert_eq!(UsbVersion::from_node(None), Some(UsbVersion::Usb20));
        assert_eq!(UsbVersion::from_node(Some(3)), None);
    }

    #[test]
    fn without_power_nothing_is_seen() {
        let mut hub = RootHub::new(4, UsbVersion::Usb20).unwrap();
        assert_eq!(hub.connect(port(1), Speed::Full), Ok(false));
        assert_eq!(status(&mut hub, 1, 0), (0, 0));
        hub.control(SET, 8, 1, 0, &mut []).unwrap();
        assert_eq!(status(&mut hub, 1, 0), (0x0101, 0x0001));
        hub.control(CLEAR, 8, 1, 0, &mut []).unwrap();
        assert_eq!(status(&mut hub, 1, 0), (0, 0));
    }

    #[test]
    fn the_descriptor_fits_its_hub() {
        for count in 1..=31 {
            let mut hub = hub(count, UsbVersion::Usb20);
            let mut answer = [0x55; 15];
            let length = hub.control(0xa006, 0x2900, 0, 0, &mut answer).unwrap();
            let bitmap = 1 + usize::from(count) / 8;
            assert_eq!(length, 7 + 2 * bitmap);
            assert_eq!(usize::from(answer[0]), length);
            assert_eq!(answer[1..3], [0x29, count]);
            assert!(answer[7..7 + bitmap].iter().all(|&b| b == 0));
            assert!(answer[7 + bitmap..length].iter().all(|&b| b == 0xff));
        }
        assert!(RootHub::new(0, UsbVersion::Usb20).is_none());
        assert!(RootHub::new(32, UsbVersion::Usb20).is_none());
    }

    #[test]
    fn late_news_do_not_reconnect() {
        let mut lifecycle = Lifecycle::Waiting;
        assert_eq!(lifecycle.backend(Backend::Waiting), Action::Connect);
        assert_eq!(lifecycle.backend(Backend::Waiting), Action::Stay);
        assert_eq!(lifecycle.backend(Backend::Connected), Action::Stay);
        assert_eq!(lifecycle.backend(Backend::Waiting), Action::Reconnect);
        lifecycle = Lifecycle::Halted;
        assert_eq!(lifecycle.backend(Backend::Waiting), Action::Stay);
        assert_eq!(lifecycle.backend(Backend::Closed), Action::Disconnect);
    }
}
