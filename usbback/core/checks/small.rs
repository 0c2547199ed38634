// SPDX-License-Identifier: GPL-2.0

//! The smaller decisions, each against a table.

use usbback_core::*;
use usbif::*;

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_backend))]
mod pvusb_backend {
    use super::*;

    /// A hostile guest's packets lie anywhere, in any order, one over the other.
    #[test]
    fn ranges_that_do_not_follow_each_other_stay_apart() {
        let ranges = [
            (8, 4),
            (0, 8),
            (8, 4),
            (8, 4),
            (u32::MAX, 1),
            (0, 1),
            (1, 0),
            (1, 1),
        ];
        let apart = [(8, 4), (0, 12), (8, 4), (u32::MAX, 1), (0, 2)];
        assert!(joined(ranges.into_iter()).eq(apart));
    }

    #[test]
    fn speeds() {
        use HostSpeed::*;
        let fit = |speed, version| unfit(false, speed, version);
        assert_eq!(fit(Low, Some(Version::Usb1)), Ok(Speed::Low));
        assert_eq!(fit(Full, None), Ok(Speed::Full));
        assert_eq!(fit(High, Some(Version::Usb2)), Ok(Speed::High));
        assert_eq!(fit(High, None), Ok(Speed::High));
        assert_eq!(fit(High, Some(Version::Usb1)), Err(Unfit::HighSpeed));
        assert_eq!(fit(Super, None), Err(Unfit::SuperSpeed));
        assert_eq!(fit(Unknown, None), Err(Unfit::UnknownSpeed));
        assert_eq!(unfit(true, High, None), Err(Unfit::Hub));
        for why in [
            Unfit::Hub,
            Unfit::SuperSpeed,
            Unfit::HighSpeed,
            Unfit::UnknownSpeed,
        ] {
            assert!(!why.reason().is_empty());
        }
        assert_eq!(Version::new(0), None);
        assert_eq!(Version::new(1), Some(Version::Usb1));
        assert_eq!(Version::new(2), Some(Version::Usb2));
        assert_eq!(Version::new(3), None);
    }

    #[test]
    fn dialects() {
        let all = References {
            urb_ring: Some(1),
            conn_ring: Some(2),
            ring: Some(3),
            event_channel: Some(4),
        };
        assert_eq!(
            all.dialect(),
            Ok(Dialect::Usbif {
                urb_ring: 1,
                conn_ring: 2,
                event_channel: 4
            })
        );
        let without = |change: fn(&mut References)| {
            let mut references = all;
            change(&mut references);
            references.dialect()
        };
        assert_eq!(
            without(|r| r.event_channel = None),
            Err(Incomplete("event-channel"))
        );
        assert_eq!(
            without(|r| r.conn_ring = None),
            Err(Incomplete("conn-ring-ref"))
        );
        assert_eq!(
            without(|r| r.urb_ring = None),
            Ok(Dialect::Old {
                ring: 3,
                event_channel: 4
            })
        );
        assert_eq!(
            References::default().dialect(),
            Err(Incomplete("event-channel"))
        );
    }

    #[test]
    fn refusals() {
        for leaves in [false, true] {
            assert_eq!(refused(-2, leaves), Status::Invalid);
            assert_eq!(refused(-19, leaves), Status::NoDevice);
            assert_eq!(refused(-12, leaves), Status::IoError);
            assert_eq!(refused(-32, leaves), Status::Stall);
        }
        // Closed for good, or while the host resets it.
        assert_eq!(refused(-108, true), Status::Shutdown);
        assert_eq!(refused(-108, false), Status::IoError);
        assert_eq!(failed(-22), Status::Stall);
        assert_eq!(failed(-16), Status::Stall);
        assert_eq!(failed(-110), Status::IoError);
        assert_eq!(failed(-19), Status::NoDevice);
    }

    #[test]
    fn landings() {
        for leaves in [false, true] {
            assert_eq!(landed(0, leaves), Status::Ok);
            assert_eq!(landed(-32, leaves), Status::Stall);
            // Unlinked by the guest, or by the core for a device that is gone.
            assert_eq!(landed(-104, leaves), Status::Shutdown);
            assert_eq!(landed(-108, leaves), Status::Shutdown);
        }
        assert_eq!(landed(-2, false), Status::IoError);
        assert_eq!(landed(-2, true), Status::Shutdown);
    }

    #[test]
    fn handshake() {
        use Other::*;
        for online in [false, true] {
            assert_eq!(next_move(Ready, Own::Waiting, online), Move::Connect);
            assert_eq!(next_move(Ready, Own::Mapped, online), Move::Stay);
            assert_eq!(next_move(Gone, Own::Mapped, online), Move::Vanish);
            assert_eq!(next_move(Closing, Own::Mapped, online), Move::Close);
        }
        assert_eq!(next_move(Starting, Own::Waiting, true), Move::Stay);
        assert_eq!(next_move(Starting, Own::Waiting, false), Move::End);
        assert_eq!(next_move(Starting, Own::Mapped, true), Move::Restart);
        assert_eq!(next_move(Closed, Own::Mapped, true), Move::Restart);
        assert_eq!(next_move(Closed, Own::Ended, true), Move::Restart);
        assert_eq!(next_move(Closed, Own::Waiting, true), Move::Stay);
        assert_eq!(next_move(Closed, Own::Mapped, false), Move::End);
    }
}
