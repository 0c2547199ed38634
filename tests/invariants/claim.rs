// SPDX-License-Identifier: GPL-2.0

//! The steps of a physical port, in a world that does what the steps say: they
//! come to an end, and at the end everything is where it belongs.

use crate::Choices;
use usbback_core::{next_step, Device, Leave, Origin, Step, Unfit, View};

/// What a step does when it works.
pub fn act(view: &mut View, step: Step) {
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
        Step::Renew => view.tainted = false,
        Step::Offer => {
            view.device = Device::Host;
            view.claimed = false;
        }
    }
}

/// Follows the steps to their end.
pub fn settle(view: &mut View) -> Step {
    for _ in 0..12 {
        let step = next_step(view);
        if matches!(step, Step::Wait | Step::Forget) {
            return step;
        }
        act(view, step);
    }
    panic!("never settles: {view:?}");
}

/// From any view: it ends, and an administrator's release leaves nothing.
pub fn settles(view: View) {
    let mut now = view;
    let end = settle(&mut now);
    match view.rule {
        Ok(_) => assert_eq!(end, Step::Wait),
        Err(Leave::ToHost) => {
            assert_eq!(end, Step::Forget);
            assert!(!now.reserved && !now.attached && !now.holding);
        }
        Err(Leave::Reserved) => assert!(!now.attached && !now.holding),
    }
}

/// Where a guest has been, no driver of the host is offered anything.
pub fn stays_away(view: View) {
    if !view.tainted || !view.reserved || view.rule == Err(Leave::ToHost) {
        return;
    }
    let mut now = view;
    for _ in 0..12 {
        let step = next_step(&now);
        assert!(
            !matches!(step, Step::Unreserve | Step::Offer | Step::Forget),
            "{step:?}"
        );
        assert!(step != Step::Configure || now.reserved);
        act(&mut now, step);
    }
    assert!(now.reserved);
}

/// Nothing of a guest's is left of a device when the host sees it.
pub fn renewed(view: View) {
    if view.rule != Err(Leave::ToHost) || !view.reserved || view.parked {
        return;
    }
    let mut now = view;
    for _ in 0..12 {
        let step = next_step(&now);
        if matches!(step, Step::Unreserve | Step::Configure | Step::Offer) {
            // A driver that is bound was bound by an administrator.
            let seen = matches!(now.device, Device::Absent | Device::Host);
            assert!(seen || !now.tainted, "{step:?}");
        }
        act(&mut now, step);
    }
}

fn view(choices: &mut Choices<'_>) -> arbitrary::Result<View> {
    let rule = *choices.choose(&[
        Ok(Origin::Sysfs),
        Ok(Origin::XenStore),
        Err(Leave::ToHost),
        Err(Leave::Reserved),
    ])?;
    let why = *choices.choose(&[
        Unfit::Hub,
        Unfit::SuperSpeed,
        Unfit::HighSpeed,
        Unfit::UnknownSpeed,
    ])?;
    let configured = choices.arbitrary()?;
    let device = *choices.choose(&[
        Device::Absent,
        Device::Unfit { why, configured },
        Device::Unauthorized,
        Device::Unconfigured,
        Device::Host,
        Device::Free,
        Device::Ours,
    ])?;
    let [reserved, tainted, parked, attached, holding, claimed]: [bool; 6] = choices.arbitrary()?;
    Ok(View {
        rule,
        reserved,
        tainted: tainted || attached,
        parked,
        attached,
        holding: holding || device == Device::Ours,
        claimed,
        device,
    })
}

/// A view by choice.
pub fn any(bytes: &[u8]) {
    if let Ok(view) = view(&mut Choices::new(bytes)) {
        settles(view);
        stays_away(view);
        renewed(view);
    }
}
