// SPDX-License-Identifier: GPL-2.0

//! Rules that the toolstack writes: `port/N` of a vusb's backend directory is
//! the bus name of the device on that port, or empty.
//!
//! The order of libxl: to assign, it writes the node, unbinds the host's driver
//! and binds ours; to take away, it unbinds ours, empties the node and binds the
//! host's. The node is the truth whenever it is read; a rule is our copy.

use crate::backend::Backend;
use crate::place::Place;
use crate::vusb::Vusb;
use crate::Show;
use kernel::prelude::*;
use kernel::sync::{atomic::Acquire, Arc};
use usbback_core::{BusName, Leave, LibxlName, Origin, Rule, Target};
use usbif::{PortNumber, MAX_PORTS};
use xen::xenbus::Device;
use xen::xenstore::{path, Store};

/// Where the backends of this domain are.
const ROOT: &CStr = c"backend/vusb";

/// What stands in a `port/N` node: None also if it is no bus name.
///
/// # Errors
///
/// It could not be read, so that nothing is known of it.
fn read(dir: &CStr, port: PortNumber) -> Result<Option<BusName>> {
    let node = path(fmt!("port/{}", port.get()))?;
    match Store::DIRECT.read::<32>(dir, &node) {
        Ok(text) => Ok(BusName::parse(text.as_bytes())),
        Err(ENOENT | E2BIG) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the toolstack assigns this bus name to that port. What cannot be read
/// is taken to be as it was.
fn stands(rule: &Rule) -> bool {
    path(fmt!("{}/{}/{}", ROOT, rule.target.domid, rule.target.vusb))
        .and_then(|dir| read(&dir, rule.target.port))
        .map_or(true, |node| node == Some(rule.busname))
}

/// Looks through all backend directories for a bus name, those included whose
/// vusb has not been probed yet.
fn find(busname: &BusName) -> Option<Target> {
    let mut found = None;
    // Errors end the search: a directory that is not there holds nothing.
    let _ = Store::DIRECT.list(ROOT, c"", |domain| {
        let Some(domid) = number(domain) else {
            return Ok(());
        };
        let dir = path(fmt!("{}/{}", ROOT, domain))?;
        let _ = Store::DIRECT.list(&dir, c"", |name| {
            let Some(vusb) = number(name) else {
                return Ok(());
            };
            let dir = path(fmt!("{}/{}/{}", ROOT, domain, name))?;
            if !Store::DIRECT.exists(&dir, c"port")? {
                return Ok(());
            }
            for port in PortNumber::first(MAX_PORTS) {
                if read(&dir, port)? == Some(*busname) {
                    found = Some(Target { domid, vusb, port });
                    return Err(EEXIST);
                }
            }
            Ok(())
        });
        match found {
            None => Ok(()),
            Some(_) => Err(EEXIST),
        }
    });
    found
}

fn number(name: &CStr) -> Option<u16> {
    let number = xen::xenstore::parse_decimal(name.to_bytes())?;
    u16::try_from(number).ok()
}

/// The rule by which an interface may be bound to us, made from XenStore if we
/// do not have it yet.
pub(crate) fn rule_for(backend: &Arc<Backend>, busname: &BusName) -> Option<(Arc<Place>, Rule)> {
    let known = backend.standing_at(busname);
    if let Some(known) = &known {
        let good = match known.standing {
            Ok(Origin::Sysfs) => true,
            Ok(Origin::XenStore) => stands(&known.rule),
            Err(_) => false,
        };
        if good {
            return Some((backend.place(busname.as_bytes())?, known.rule));
        }
    }
    // Before XenStore is up there is no toolstack, and asking would not return.
    if !backend.xenstore.load(Acquire) {
        return None;
    }
    let target = find(busname)?;
    let rule = Rule {
        busname: *busname,
        target,
    };
    if let Some(known) = known {
        // The toolstack has moved the device and we have not heard of it.
        backend.end_rule(&known.rule, Leave::ToHost);
    }
    Some((assign(backend, rule)?, rule))
}

/// Makes a rule of what the toolstack says.
fn assign(backend: &Arc<Backend>, rule: Rule) -> Option<Arc<Place>> {
    // Another device on that port, says an old rule: the node was just read.
    if let Some(old) = backend.toolstack_rule(&rule.target) {
        if old.busname != rule.busname && backend.end_rule(&old, Leave::ToHost) {
            if let Some(place) = backend.place(old.busname.as_bytes()) {
                place.retry();
            }
        }
    }
    match backend.add(rule, Origin::XenStore) {
        Ok((place, _)) => {
            backend.domain_seen(rule.target.domid);
            place.retry();
            Some(place)
        }
        Err(error) => {
            // Said again whenever the guest connects.
            let vusb = backend.vusb(&rule.target);
            if vusb.is_none_or(|vusb| vusb.limit.allows()) {
                pr_err!(
                    "{}: the toolstack assigns it, but there is another rule for the device or \
                     the port ({})\n",
                    Show(&rule),
                    error.to_errno()
                );
            }
            None
        }
    }
}

/// Whether libxl has noted which drivers of the host had a device before it bound
/// ours, and so binds those again when it has unbound ours.
pub(crate) fn binds_back(busname: &BusName) -> bool {
    path(fmt!("{}", Show(&LibxlName(busname))))
        .is_ok_and(|node| Store::DIRECT.exists(c"/libxl/usbback", &node) == Ok(true))
}

/// Ends a rule because an administrator says so, or the reservation that one has
/// left behind. Returns its place, to be settled.
///
/// # Errors
///
/// `ENOENT` there is none.
pub(crate) fn remove(backend: &Backend, rule: &Rule) -> Result<Arc<Place>> {
    let vusb = backend.vusb(&rule.target);
    // See `Vusb::unassign`.
    let _control = vusb.as_ref().map(|vusb| vusb.control.lock());
    let (place, was) = backend.remove(rule)?;
    if let (Ok(Origin::XenStore), Some(vusb)) = (was, &vusb) {
        vusb.clear_node(rule);
    }
    Ok(place)
}

impl Vusb {
    /// Makes the rules of this vusb what its nodes say. A device may have been moved to
    /// another port, so what has ended ends before anything is assigned.
    pub(crate) fn read_nodes(&self) {
        for port in PortNumber::first(self.ports) {
            self.end_moved(self.target(port));
        }
        for port in PortNumber::first(self.ports) {
            self.assign_new(self.target(port));
        }
    }

    fn target(&self, port: PortNumber) -> Target {
        Target {
            domid: self.domid,
            vusb: self.id,
            port,
        }
    }

    /// Ends the rule of a port whose node says something else now.
    fn end_moved(&self, target: Target) {
        let Some(rule) = self.backend.toolstack_rule(&target) else {
            return;
        };
        match read(self.dev.nodename(), target.port) {
            Ok(node) if node != Some(rule.busname) => {}
            Ok(_) => return,
            Err(error) => {
                pr_warn!(
                    "{}: port/{} cannot be read, so the rule stays ({})\n",
                    Show(&rule),
                    target.port.get(),
                    error.to_errno()
                );
                return;
            }
        }
        // A node that went with all the others is not the toolstack's wish that the host
        // has the device: see `gone`.
        if Store::DIRECT.exists(self.dev.nodename(), c"state") != Ok(true) {
            return;
        }
        if self.backend.end_rule(&rule, Leave::ToHost) {
            if let Some(place) = self.backend.place(rule.busname.as_bytes()) {
                place.retry();
            }
        }
    }

    /// Makes the rule of a port whose node has come to name a device.
    fn assign_new(&self, target: Target) {
        let Ok(Some(busname)) = read(self.dev.nodename(), target.port) else {
            return;
        };
        let known = self
            .backend
            .standing_at(&busname)
            .is_some_and(|stand| stand.standing.is_ok() && stand.rule.target == target);
        if !known {
            assign(&self.backend, Rule { busname, target });
        }
    }

    /// Ends a rule of the toolstack whose device is gone, and empties its node.
    /// False: there was no such rule any more.
    pub(crate) fn unassign(&self, rule: &Rule) -> bool {
        // Whoever reads the nodes meanwhile would make the rule anew, and then
        // take the empty node for the toolstack's wish.
        let _control = self.control.lock();
        if !self.backend.end_rule(rule, Leave::Reserved) {
            return false;
        }
        self.clear_node(rule);
        true
    }

    /// Empties the node of a rule, if it still says that.
    fn clear_node(&self, rule: &Rule) {
        if let Err(error) = clear(&self.dev, rule) {
            pr_warn!(
                "{}: port/{} cannot be cleared ({})\n",
                Show(rule),
                rule.target.port.get(),
                error.to_errno()
            );
        }
    }
}

fn clear(dev: &Device, rule: &Rule) -> Result {
    let node = path(fmt!("port/{}", rule.target.port.get()))?;
    dev.while_alive(|store| match store.read::<32>(dev.nodename(), &node) {
        Ok(text) if text.as_bytes() == rule.busname.as_bytes() => {
            store.write(dev.nodename(), &node, c"")
        }
        Ok(_) | Err(ENOENT | E2BIG) => Ok(()),
        Err(error) => Err(error),
    })
    .map(|_| ())
}
