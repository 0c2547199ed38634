// SPDX-License-Identifier: GPL-2.0

//! The steps of a port, in a world that does what the steps say: they come to
//! an end, and at the end everything is where it belongs.

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

/// What a step does when it works.
fn act(view: &mut View, step: Step) {
    match step {
        Step::Wait | Step::Forget => {}
        Step::Reserve => view.reserved = true,
        Step::Unreserve => view.reserved = false,
        Step::Configure => {
            view.device = match view.device {
                Device::Unfit { why, .. } => Device::Unfit {
                    why,
                    configured: true,
                },
                _ if view.reserved => Device::Free,
                _ => Device::Host,
            }
        }
        Step::Claim => {
            view.device = Device::Ours;
            view.holding = true;
            view.claimed = true;
        }
        Step::Attach => {
            view.attached = true;
            view.tainted = true;
        }
        Step::Detach => view.attached = false,
        Step::Release => {
            view.holding = false;
            if view.device == Device::Ours {
                view.device = Device::Free;
            }
        }
        Step::Unconfigure => {
            view.device = match view.device {
                Device::Unfit { why, .. } => Device::Unfit {
                    why,
                    configured: false,
                },
                _ => Device::Unconfigured,
            }
        }
        Step::Offer => {
            view.device = Device::Host;
            view.claimed = false;
        }
    }
}

fn settle(view: &mut View) -> Step {
    for _ in 0..12 {
        let step = next_step(view);
        if matches!(step, Step::Wait | Step::Forget) {
            return step;
        }
        act(view, step);
    }
    panic!("never settles: {view:?}");
}

proptest! {
    #[test]
    fn settles(view in view()) {
        let mut now = view;
        let end = settle(&mut now);
        match view.rule {
            Ok(_) => prop_assert_eq!(end, Step::Wait),
            // An administrator's release leaves nothing of ours.
            Err(Leave::ToHost) => {
                prop_assert_eq!(end, Step::Forget);
                prop_assert!(!now.reserved && !now.attached && !now.holding);
            }
            Err(Leave::Reserved) => prop_assert!(!now.attached && !now.holding),
        }
    }

    /// Where a guest has been, no driver of the host is offered anything.
    #[test]
    fn a_used_device_stays_away_from_the_host(view in view()) {
        prop_assume!(view.tainted && view.reserved && view.rule != Err(Leave::ToHost));
        let mut now = view;
        for _ in 0..12 {
            let step = next_step(&now);
            prop_assert!(!matches!(step, Step::Unreserve | Step::Offer | Step::Forget), "{:?}", step);
            prop_assert!(step != Step::Configure || now.reserved);
            act(&mut now, step);
        }
        prop_assert!(now.reserved);
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
