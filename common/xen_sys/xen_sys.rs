// SPDX-License-Identifier: GPL-2.0

//! Bindings that bindgen makes from the kernel's Xen and USB host controller
//! headers, on top of the kernel crate's own. Layout tests are on: a header
//! that changes under us fails the build.

#![allow(
    clippy::all,
    clippy::arithmetic_side_effects,
    clippy::borrow_as_ptr,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ptr_cast_constness,
    clippy::ref_as_ptr,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
#![allow(dead_code, improper_ctypes, unused_imports)]

/// The generated items, together with those of the kernel crate.
pub mod bindings {
    pub use kernel::bindings::*;
    include!(env!("PVUSB_BINDINGS"));
}

mod held_page;
pub use held_page::HeldPage;
