// SPDX-License-Identifier: GPL-2.0

//! What the backend decides, without a kernel around it: which rules there may
//! be, what to do with a device on a reserved port, what a guest's request means
//! for a device that is not the guest's alone, and who is told what when.
//!
//! Nothing here acts. The kernel shell (`usbback/`) looks, asks, and does what
//! it is told; so every decision can be tested on any host.

#![cfg_attr(not(CONFIG_RUST), no_std)]

mod busname;
mod claim;
mod control;
mod copy;
mod dialect;
mod events;
mod interfaces;
mod port;
mod ranges;
mod returned;
mod rule;
mod slots;
mod speed;
mod status;
mod xenbus;

pub use busname::{BusName, LibxlName};
pub use claim::{next_step, Device, Leave, Origin, Step, View};
pub use control::{remote_wakeup, Meaning, Operation};
pub use copy::{pieces, Piece, Pieces};
pub use dialect::{Dialect, Incomplete, References};
pub use events::Events;
pub use interfaces::Interfaces;
pub use port::{Guest, Port, Verdict};
pub use ranges::joined;
pub use returned::{Back, Ended, Returned};
pub use rule::{admit, BadRule, Rule, Taken, Target, DOMID_FIRST_RESERVED};
pub use slots::{Index, NoSlot, Slots, SLOTS};
pub use speed::{unfit, HostSpeed, Unfit, Version};
pub use status::{failed, landed, refused};
pub use xenbus::{next_move, Move, Other, Own};
