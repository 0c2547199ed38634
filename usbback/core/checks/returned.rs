// SPDX-License-Identifier: GPL-2.0

//! What comes back is all there when the worker looks.

use usbback_core::{Back, Ended, Index, Returned, SLOTS};
use usbif::{PortNumber, Status};

fn port() -> PortNumber {
    PortNumber::new(7).unwrap()
}

fn ended(serial: u64, slot: Option<usize>) -> Ended<&'static str> {
    Ended {
        device: "it",
        serial,
        slot: slot.and_then(Index::new),
        status: Status::Ok,
    }
}

/// Serials and slots of all that has come back.
fn operations<'a>(
    returned: &'a mut Returned<usize, &'static str>,
) -> impl Iterator<Item = (u64, Option<usize>)> + 'a {
    core::iter::from_fn(|| returned.pop()).map(|back| match back {
        Back::Operation(ended) => (ended.serial, ended.slot.map(Index::get)),
        Back::Urb(urb) => panic!("URB {urb}"),
    })
}

#[cfg_attr(CONFIG_KUNIT, ::kernel::macros::kunit_tests(pvusb_returned))]
mod pvusb_returned {
    use super::*;

    /// An operation outlives its device's stay on the port, and another one of the
    /// next device ends before the worker looks: both requests wait for an answer.
    #[test]
    fn requests_of_two_devices_of_one_port_are_both_answered() {
        let mut returned = Returned::nothing();
        assert!(returned.operation(port(), ended(1, Some(4))).is_none());
        assert!(returned.operation(port(), ended(2, Some(9))).is_none());
        assert!(operations(&mut returned).eq([(1, Some(4)), (2, Some(9))]));
        assert!(returned.pop().is_none());
    }

    /// Whichever ends first: the device that is there goes on.
    #[test]
    fn the_later_device_goes_on_after_its_reset() {
        for order in [[1, 2], [2, 1]] {
            let mut returned = Returned::nothing();
            let nobody = order.map(|serial| returned.operation(port(), ended(serial, None)));
            assert!(nobody.iter().flatten().map(|e| e.serial).eq([1]));
            assert!(operations(&mut returned).eq([(2, None)]));
        }
        // A reset's end does not push out that of a request.
        let mut returned = Returned::nothing();
        assert!(returned.operation(port(), ended(2, None)).is_none());
        assert!(returned.operation(port(), ended(2, Some(6))).is_none());
        assert!(operations(&mut returned).eq([(2, Some(6)), (2, None)]));
    }

    #[test]
    fn urbs_keep_their_order() {
        let mut returned = Returned::<_, ()>::nothing();
        for round in 0..3 {
            for urb in 0..SLOTS {
                assert_eq!(returned.urb(round + urb), None);
            }
            assert_eq!(returned.urb(99), Some(99)); // no place
            for urb in 0..SLOTS {
                let Some(Back::Urb(got)) = returned.pop() else {
                    panic!("lost")
                };
                assert_eq!(got, round + urb);
            }
            assert!(returned.pop().is_none());
        }
    }
}
