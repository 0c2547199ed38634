// SPDX-License-Identifier: GPL-2.0

//! What the frontend decides, without the kernel: the root hub, which request
//! goes out next and which answer is believable, how a URB is cut into
//! requests and laid out in granted pages, and when to connect.
//!
//! Nothing here knows of locks, pointers, grants or time; the shell brings
//! them. It calls under its one lock, gives the time as a number, and does what
//! it is told.

#![cfg_attr(not(CONFIG_RUST), no_std)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod hold;
mod job;
mod lifecycle;
mod list;
mod packets;
mod plan;
mod port;
mod root_hub;
mod scheduler;
mod share;
mod slots;
mod table;
mod transfer;
mod work;

pub use job::{Endpoint, EndpointId, Finished, Job, JobId};
pub use lifecycle::{Action, Backend, Lifecycle};
pub use packets::{
    outcome, spans, Outcome, Places, Run, Span, Spans, DATA_PAGES, MOST_BYTES, MOST_PACKETS,
};
pub use plan::{Fragment, Memory, Part, Plan};
pub use port::{Millis, UsbVersion, REFUSAL_TIME, RESET_TIME, RESUME_TIME};
pub use root_hub::{ConnectError, HubStall, RootHub};
pub use scheduler::Scheduler;
pub use slots::{Lie, Slot, SLOTS};
pub use table::{NoMemory, Table};
pub use transfer::{Shape, Transfer};
pub use work::{Answer, Piece, Work};
