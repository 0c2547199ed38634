// SPDX-License-Identifier: GPL-2.0

//! What to do about a physical port: one step at a time, from what is seen to
//! what the rule wants.
//!
//! A rule reserves its port in the kernel, so that whatever is plugged in there
//! is offered to no driver of interfaces, then takes the device's. A device that is
//! in use by the host already, and named by the toolstack, is left to the
//! toolstack to bind; then the port is reserved.
//!
//! A guest can reprogram its device. So a port that a guest has used stays
//! reserved when the device or the guest goes, and what comes back there
//! is shown to none, until an administrator releases it.

use crate::Unfit;

/// Who has made a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The administrator, through `new_vport`. We do all the binding.
    Sysfs,
    /// The toolstack, through `port/N`. It unbinds the host's drivers and binds
    /// ours.
    XenStore,
}

/// What becomes of a port whose rule has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// An administrator or the toolstack has taken the device back.
    ToHost,
    /// The guest has died or the device has been pulled out: nobody decides.
    Reserved,
}

/// What is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Nothing.
    Absent,
    /// Something that cannot go to a guest. `configured`: drivers can see it.
    Unfit {
        /// Why.
        why: Unfit,
        /// Whether it has a configuration.
        configured: bool,
    },
    /// The administrator does not allow its use.
    Unauthorized,
    /// Without a configuration, so nobody can use it.
    Unconfigured,
    /// One interface at least is bound to a driver of the host.
    Host,
    /// Some interfaces have no driver, the others are ours.
    Free,
    /// Every interface is ours.
    Ours,
}

/// What is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The rule for this port, or what its end means.
    pub rule: Result<Origin, Leave>,
    /// We own the port.
    pub reserved: bool,
    /// A guest has had a device here since the port was reserved, and none was renewed.
    pub tainted: bool,
    /// Somebody has unbound us from this device by hand, or an attempt has
    /// failed: hands off until it is plugged in anew or bound again.
    pub parked: bool,
    /// The device is on a guest's port.
    pub attached: bool,
    /// We hold interfaces of the device.
    pub holding: bool,
    /// We have bound them, not the toolstack.
    pub claimed: bool,
    /// What is there.
    pub device: Device,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: wait for something to change.
    Wait,
    /// Own the port.
    Reserve,
    /// Give the port up.
    Unreserve,
    /// Choose a configuration.
    Configure,
    /// Bind the interfaces.
    Claim,
    /// Put the device on the guest's port.
    Attach,
    /// Take it off the guest's port.
    Detach,
    /// Unbind the interfaces.
    Release,
    /// Take the configuration away, so that nobody sees the device.
    Unconfigure,
    /// Reset the device: what a guest has made of it ends.
    Renew,
    /// Offer the interfaces to the host's drivers.
    Offer,
    /// Nothing is left to be done for this port: forget it.
    Forget,
}

/// Decides the next step. Every step changes what is seen, or fails; after a
/// failure the port is `parked`.
#[must_use]
pub fn next_step(view: &View) -> Step {
    match view.rule {
        Ok(origin) => wanted(origin, view),
        Err(leave) => left(leave, view),
    }
}

fn wanted(origin: Origin, view: &View) -> Step {
    if view.attached {
        // The guest may choose no configuration at all; that is no reason to
        // take the device away.
        return match view.device {
            Device::Ours | Device::Unconfigured if !view.parked => reserve_or(view, Step::Wait),
            _ => Step::Detach,
        };
    }
    match view.device {
        Device::Absent => reserve_or(view, Step::Wait),
        // It was the host's before the rule was: it stays the host's. Where a
        // guest has been, it could be a guest's in disguise.
        Device::Unfit { configured, .. } => match (view.tainted, view.reserved, configured) {
            (true, false, _) => Step::Reserve,
            (true, true, true) if !view.parked => Step::Unconfigure,
            (true, _, _) => Step::Wait,
            (false, true, _) => Step::Unreserve,
            (false, false, false) if !view.parked => Step::Configure,
            (false, false, _) => Step::Wait,
        },
        Device::Ours => reserve_or(
            view,
            if view.parked {
                Step::Wait
            } else {
                Step::Attach
            },
        ),
        // The toolstack is about to bind, which an owned port would prevent.
        Device::Host | Device::Free if origin == Origin::XenStore && !view.reserved => Step::Wait,
        // Somebody took our hands off: an owned port would keep everybody out.
        _ if view.parked && origin == Origin::XenStore => Step::Wait,
        _ if !view.reserved => Step::Reserve,
        _ if view.parked => Step::Wait,
        Device::Unauthorized | Device::Host => Step::Wait,
        Device::Unconfigured => Step::Configure,
        Device::Free => Step::Claim,
    }
}

/// Reserving may fail: a parked port does not insist.
fn reserve_or(view: &View, otherwise: Step) -> Step {
    if view.reserved || view.parked {
        otherwise
    } else {
        Step::Reserve
    }
}

fn left(leave: Leave, view: &View) -> Step {
    if view.attached {
        return Step::Detach;
    }
    match leave {
        // No guest has been there, so there is nothing to fear.
        Leave::Reserved if view.tainted => match view.device {
            _ if view.holding => Step::Release,
            _ if !view.reserved && !view.parked => Step::Reserve,
            // A host driver that is bound was bound by an administrator.
            Device::Free if !view.parked => Step::Unconfigure,
            Device::Unfit {
                configured: true, ..
            } if !view.parked => Step::Unconfigure,
            _ => Step::Wait,
        },
        Leave::ToHost | Leave::Reserved => match view.device {
            _ if view.holding => Step::Release,
            // While the port is ours, for then no driver of the host sees it.
            device if view.tainted && renewable(device, view) => Step::Renew,
            _ if view.reserved => Step::Unreserve,
            // What we have made of it is undone; what the toolstack has bound
            // it binds back itself.
            Device::Unconfigured
            | Device::Unfit {
                configured: false, ..
            } if !view.parked => Step::Configure,
            Device::Free if view.claimed && !view.parked => Step::Offer,
            _ => Step::Forget,
        },
    }
}

/// Whether the device can be reset without getting in the way of who has it, or is about to.
fn renewable(device: Device, view: &View) -> bool {
    let toolstack_binds = device == Device::Free && !view.reserved && !view.claimed;
    !matches!(device, Device::Absent | Device::Host) && !toolstack_binds && !view.parked
}
