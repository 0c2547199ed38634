// SPDX-License-Identifier: GPL-2.0

//! The steps of a port, in a world that does what the steps say: they come to
//! an end, and at the end everything is where it belongs.

use invariants::claim::{renewed, settle, settles, stays_away};
use proptest::prelude::*;
use usbback_core::*;

fn rule() -> impl Strategy<Value = Result<Origin, Leave>> {
    prop_oneof![
        Just(Ok(Origin::Sysfs)),
        Just(Ok(Origin::XenStore)),
        Just(Err(Leave::ToHost)),
        Just(Err(Leave::Reserved)),
    ]
}

fn device() -> impl Strategy<Value = Device> {
    prop_oneof![
        Just(Device::Absent),
        any::<bool>().prop_map(|configured| Device::Unfit {
            why: Unfit::SuperSpeed,
            configured
        }),
        Just(Device::Unauthorized),
        Just(Device::Unconfigured),
        Just(Device::Host),
        Just(Device::Free),
        Just(Device::Ours),
    ]
}

fn view() -> impl Strategy<Value = View> {
    (rule(), any::<[bool; 6]>(), device()).prop_map(|(rule, bits, device)| {
        let [reserved, tainted, parked, attached, holding, claimed] = bits;
        View {
            rule,
            reserved,
            tainted: tainted || attached,
            parked,
            attached,
            holding: holding || device == Device::Ours,
            claimed,
            device,
        }
    })
}

proptest! {
    #[test]
    fn every_view_settles(view in view()) {
        settles(view);
    }

    /// Where a guest has been, no driver of the host is offered anything.
    #[test]
    fn a_used_device_stays_away_from_the_host(view in view()) {
        prop_assume!(view.tainted && view.reserved && view.rule != Err(Leave::ToHost));
        stays_away(view);
    }

    #[test]
    fn a_used_device_is_renewed_before_the_host_sees_it(mut view in view()) {
        view.rule = Err(Leave::ToHost);
        view.reserved = true;
        view.parked = false;
        renewed(view);
    }

    /// A device that is there and free goes to the guest, if nobody objects.
    #[test]
    fn a_rule_of_sysfs_attaches(mut view in view()) {
        view.rule = Ok(Origin::Sysfs);
        view.parked = false;
        prop_assume!(matches!(view.device, Device::Unconfigured | Device::Free | Device::Ours));
        view.attached = false;
        settle(&mut view);
        prop_assert!(view.attached && view.reserved);
    }

    /// The toolstack's own order: its bind must not find an owned port.
    #[test]
    fn the_toolstack_can_bind(mut view in view()) {
        view.rule = Ok(Origin::XenStore);
        view.attached = false;
        view.reserved = false;
        view.device = Device::Host;
        prop_assert_eq!(next_step(&view), Step::Wait);
        view.device = Device::Free;
        prop_assert_eq!(next_step(&view), Step::Wait);
        view.device = Device::Ours;
        view.parked = false;
        settle(&mut view);
        prop_assert!(view.attached && view.reserved);
        // And the way back: unbind, then the end of the rule, then its own bind.
        view.device = Device::Free;
        view.holding = false;
        view.claimed = false;
        view.reserved = false;
        view.parked = true;
        settle(&mut view);
        prop_assert!(!view.attached && !view.reserved);
        view.rule = Err(Leave::ToHost);
        view.parked = false;
        prop_assert_eq!(next_step(&view), Step::Forget);
    }
}
