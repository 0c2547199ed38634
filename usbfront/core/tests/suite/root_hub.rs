// SPDX-License-Identifier: GPL-2.0

//! The root hub and the lifecycle, whatever is asked and in any order.

use crate::checks::root_hub::{CLEAR, GET_PORT_STATUS, SET};
use invariants::hub::{follow, Step};
use proptest::prelude::*;
use usbfront_core::*;

fn control(request: u16, value: u16, index: u16, later: u16) -> Step {
    Step::Control {
        request,
        value,
        index,
        later,
        room: 15,
    }
}

proptest! {
    #[test]
    fn any_request_is_answered(
        count in 1..=31u8,
        requests in prop::collection::vec(
            (
                prop::sample::select(vec![0x2001u16, CLEAR, 0xa006, 0xa000, GET_PORT_STATUS, 0x2003, SET, 0x1234]),
                prop_oneof![0..24u16, any::<u16>()],
                prop_oneof![0..33u16, any::<u16>()],
                0..100u16,
                0..31u8,
                0..4u8,
                0..3u8,
            ),
            0..200,
        ),
        carries: bool,
    ) {
        let power = (1..=count).map(|port| control(SET, 8, port.into(), 0));
        let steps = requests.into_iter().flat_map(|(request, value, index, later, number, speed, told)| {
            let news = match told {
                0 => Step::Connect(number + 1, speed),
                1 => Step::Tell,
                _ => Step::Answer(number + 1, speed == 0),
            };
            [control(request, value, index, later), news]
        });
        follow(count, UsbVersion::Usb20, carries, power.chain(steps));
    }

    /// A frontend is never left connected to a backend that has gone, and
    /// connects whenever the backend waits for it.
    #[test]
    fn the_lifecycle_follows_the_backend(states in prop::collection::vec(0..6usize, 0..60)) {
        use Backend::*;
        let all = [Gone, Preparing, Waiting, Connected, Closing, Closed];
        let mut lifecycle = Lifecycle::Waiting;
        let mut connected = false;
        for state in states {
            let backend = all[state];
            match lifecycle.backend(backend) {
                Action::Connect => {
                    prop_assert!(!connected);
                    connected = true;
                }
                Action::Disconnect => {
                    prop_assert!(connected);
                    connected = false;
                }
                Action::Reconnect => prop_assert!(connected),
                Action::Stay => {}
            }
            match backend {
                Gone | Closing | Closed => prop_assert!(!connected),
                Waiting => prop_assert!(connected),
                Connected | Preparing => {}
            }
        }
    }
}
