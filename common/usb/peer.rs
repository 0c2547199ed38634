// SPDX-License-Identifier: GPL-2.0

//! The other half of a connector.
//!
//! A USB 3 connector is two ports, one on the high speed half of its hub and one on the
//! SuperSpeed half, with bus names of their own. The hub driver finds out which belong
//! together (`find_and_link_peer()`), keeps that to itself, and shows it in sysfs: the
//! directory of a port's device has a link `peer` to the other's.

use crate::{
    lock::LockedDevice,
    port_name::PortName, //
};
use kernel::{
    bindings,
    fmt::Write,
    prelude::*,
    str::Formatter,
    sync::rcu, //
};

/// A node of sysfs, which stays valid while this exists.
struct Node(*mut bindings::kernfs_node);

impl Node {
    /// A child of a directory.
    ///
    /// # Safety
    ///
    /// `parent` is a valid node, or null.
    unsafe fn find(parent: *mut bindings::kernfs_node, name: &CStr) -> Option<Self> {
        if parent.is_null() {
            return None;
        }
        // SAFETY: valid by the caller's promise; the name is a string. The result is null
        // or comes with a reference, which `drop` puts.
        let node = unsafe {
            bindings::kernfs_find_and_get_ns(parent, name.as_char_ptr(), core::ptr::null())
        };
        (!node.is_null()).then_some(Self(node))
    }

    /// Reads the name of what a link points to.
    fn with_target<T>(&self, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        // SAFETY: we have a reference to the node. Its kind is written once, before it can
        // be found.
        let kind = u32::from(unsafe { (*self.0).flags }) & bindings::KERNFS_TYPE_MASK;
        if kind != bindings::kernfs_node_type_KERNFS_LINK {
            return None;
        }
        let _guard = rcu::read_lock();
        // SAFETY: a link is a node whose union holds `symlink`, and has a reference to its
        // target, which it puts when its own last reference goes (`kernfs_put()`): ours is
        // one. A node's name is replaced, if ever, under RCU, whose read lock is held, and
        // ends with a zero.
        let name = unsafe {
            let target = (*self.0).__bindgen_anon_1.symlink.target_kn;
            CStr::from_char_ptr((*target).name)
        };
        read(name.to_bytes())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: the reference that `find` got.
        unsafe { bindings::kernfs_put(self.0) };
    }
}

/// The port that shares the connector with a port of a hub.
pub(crate) fn of(hub: &LockedDevice<'_>, port: u8) -> Option<PortName> {
    // The hub's name, at most 32 bytes, and a number of three digits.
    let mut name = [0; 48];
    let (_, all_but_last) = name.split_last_mut()?;
    let mut text = Formatter::new(all_but_last);
    text.write_fmt(fmt!("{}-port{port}", hub.name())).ok()?;
    let name = CStr::from_bytes_until_nul(&name).ok()?;
    // Ports are children of the hub's only interface.
    let interface = hub.interfaces().next()?;
    // SAFETY: an interface of a configured device is registered, and stays so while the
    // device's lock is held; so its directory is there.
    let port = unsafe { Node::find((*interface.as_raw()).dev.kobj.sd, name) }?;
    // SAFETY: we have a reference to that node.
    let link = unsafe { Node::find(port.0, c"peer") }?;
    link.with_target(PortName::parse_port_device)
}
