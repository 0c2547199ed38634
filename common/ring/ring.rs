// SPDX-License-Identifier: GPL-2.0

//! One end of a Xen shared ring.
//!
//! The layout is that of the kernel's `include/xen/interface/io/ring.h`: one
//! page, four u32 indices, then a power of two of equal entries that requests
//! and responses share. Indices run freely and wrap at 2^32.
//!
//! ```text
//! byte 0   req_prod    requests produced        (front writes)
//!      4   req_event   "wake me at this request"  (back writes)
//!      8   rsp_prod    responses produced       (back writes)
//!      12  rsp_event   "wake me at this response" (front writes)
//!      64  entries
//! ```
//!
//! The far end is hostile: each index that it owns is read once and compared
//! with what this end knows from private memory, and each entry is copied out
//! once. Nothing here trusts a value because it was seen before.

#![cfg_attr(not(CONFIG_RUST), no_std)]

mod back;
mod front;
mod layout;

pub use back::BackRing;
pub use front::FrontRing;
pub use layout::{entries, SharedPage, PAGE_SIZE};

/// The far end's indices are impossible: it is broken or hostile, and the ring
/// must not be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// No free entry; push again after the far end has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;
