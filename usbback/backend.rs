// SPDX-License-Identifier: GPL-2.0

//! What belongs to the module: the rules, the places they are about, the vusbs.
//!
//! The rule lock protects which rules there are and who is known, nothing else:
//! what happens at a place is behind that place's own locks. An entry outlives
//! its rule while the port has to be given back or stays reserved.

use crate::domains::Domains;
use crate::place::Place;
use crate::vusb::Vusb;
use kernel::prelude::*;
use kernel::sync::{atomic::AtomicFlag, new_mutex, Arc, Mutex};
use kernel::workqueue::{impl_has_work, new_work, Work, WorkItem};
use usb::driver::DriverHandle;
use usbback_core::{admit, BusName, Leave, Origin, Rule, Taken, Target};
use xen::global::Global;
use xen::queue::{Class, WorkQueue};
use xen::watch::Watch;

/// For the xenbus driver's `probe`.
pub(crate) static BACKEND: Global<Backend> = Global::new();

/// The module's state.
#[pin_data]
pub(crate) struct Backend {
    /// Claims are made in its name.
    pub(crate) driver: DriverHandle,
    /// Runs places and vusbs' controls, which may take seconds.
    pub(crate) queue: WorkQueue,
    /// XenStore can be asked.
    pub(crate) xenstore: AtomicFlag,
    /// On domains that come and go.
    #[pin]
    pub(crate) watches: Mutex<KVec<Pin<KBox<Watch<Domains>>>>>,
    #[pin]
    table: Mutex<Table>,
    #[pin]
    work: Work<Backend>,
}

impl_has_work! {
    impl HasWork<Self> for Backend { self.work }
}

impl WorkItem for Backend {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.sweep_domains();
    }
}

#[derive(Default)]
struct Table {
    entries: KVec<Entry>,
    vusbs: KVec<Arc<Vusb>>,
    /// The module is about to go.
    closing: bool,
}

/// A place, and the rule that is or was its.
struct Entry {
    place: Arc<Place>,
    rule: Rule,
    /// Whether there is a rule, or what its end means.
    standing: Result<Origin, Leave>,
    /// The rule's domain has been seen alive, so its absence means death.
    seen: bool,
}

impl Entry {
    fn stand(&self) -> Standing {
        Standing {
            rule: self.rule,
            standing: self.standing,
        }
    }

    fn is_of(&self, place: &Place) -> bool {
        core::ptr::eq(&*self.place, place)
    }
}

/// What a place asks the table.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    /// The rule, or the last one.
    pub(crate) rule: Rule,
    /// Whether it stands.
    pub(crate) standing: Result<Origin, Leave>,
}

/// What to put back when a new rule cannot be had after all.
pub(crate) struct Before(Option<(Rule, Leave)>);

impl Table {
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.entries
            .iter()
            .filter(|entry| entry.standing.is_ok())
            .map(|entry| &entry.rule)
    }

    fn entry(&mut self, busname: &BusName) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| entry.rule.busname == *busname)
    }
}

impl Backend {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let driver = DriverHandle::new()?;
        let queue = WorkQueue::new(c"usbback", Class::Concurrent)?;
        Arc::pin_init(
            pin_init!(Self {
                driver,
                queue,
                xenstore: AtomicFlag::new(false),
                watches <- new_mutex!(KVec::new()),
                table <- new_mutex!(Table::default()),
                work <- new_work!("usbback::sweep"),
            }),
            GFP_KERNEL,
        )
    }

    /// Has the rules compared with the domains that exist.
    pub(crate) fn sweep_soon(self: &Arc<Self>) {
        self.queue.enqueue(self);
    }

    /// Adds a rule. Returns its place, and what was before.
    ///
    /// # Errors
    ///
    /// `EEXIST` the busname or the target is taken, `ESHUTDOWN` the module is
    /// going, `ENOMEM`.
    pub(crate) fn add(
        self: &Arc<Self>,
        rule: Rule,
        origin: Origin,
    ) -> Result<(Arc<Place>, Before)> {
        // Outside of the lock; not needed if there is a place already.
        let fresh = Place::new(self.clone(), rule.busname)?;
        let mut guard = self.table.lock();
        let table = &mut *guard;
        if table.closing {
            return Err(ESHUTDOWN);
        }
        admit(table.rules(), &rule).map_err(|_: Taken| EEXIST)?;
        if let Some(entry) = table.entry(&rule.busname) {
            let before = Before(entry.standing.err().map(|leave| (entry.rule, leave)));
            entry.rule = rule;
            entry.standing = Ok(origin);
            entry.seen = false;
            return Ok((entry.place.clone(), before));
        }
        table.entries.push(
            Entry {
                place: fresh.clone(),
                rule,
                standing: Ok(origin),
                seen: false,
            },
            GFP_KERNEL,
        )?;
        Ok((fresh, Before(None)))
    }

    /// Takes a new rule back as if it had never been. Returns whether the place
    /// is to be kept.
    pub(crate) fn take_back(&self, rule: &Rule, before: Before) -> bool {
        let mut table = self.table.lock();
        match before.0 {
            Some((old, leave)) => {
                if let Some(entry) = table.entry(&rule.busname) {
                    entry.rule = old;
                    entry.standing = Err(leave);
                }
                true
            }
            None => {
                table.entries.retain(|entry| entry.rule != *rule);
                false
            }
        }
    }

    /// Ends a rule, or the reservation that one has left.
    ///
    /// # Errors
    ///
    /// `ENOENT` there is none.
    pub(crate) fn remove(&self, rule: &Rule) -> Result<(Arc<Place>, Result<Origin, Leave>)> {
        let mut table = self.table.lock();
        let entry = table
            .entries
            .iter_mut()
            .find(|entry| entry.rule == *rule && entry.standing != Err(Leave::ToHost))
            .ok_or(ENOENT)?;
        let was = entry.standing;
        entry.standing = Err(Leave::ToHost);
        Ok((entry.place.clone(), was))
    }

    /// Ends the rule of a place if it still stands as it did.
    pub(crate) fn end_rule(&self, rule: &Rule, leave: Leave) -> bool {
        let mut table = self.table.lock();
        match table.entry(&rule.busname) {
            Some(entry) if entry.rule == *rule && entry.standing.is_ok() => {
                entry.standing = Err(leave);
                true
            }
            _ => false,
        }
    }

    /// How a place stands; None if it is not known any more, whether or not there is
    /// another one for its port.
    pub(crate) fn standing(&self, place: &Place) -> Option<Standing> {
        let table = self.table.lock();
        let entry = table.entries.iter().find(|entry| entry.is_of(place));
        entry.map(Entry::stand)
    }

    /// How the place of a port stands, whichever it is.
    pub(crate) fn standing_at(&self, busname: &BusName) -> Option<Standing> {
        let mut table = self.table.lock();
        table.entry(busname).map(|entry| entry.stand())
    }

    /// Forgets a place, unless it has got a rule meanwhile.
    pub(crate) fn forget(&self, place: &Place) -> bool {
        let mut table = self.table.lock();
        let before = table.entries.len();
        table
            .entries
            .retain(|entry| !entry.is_of(place) || entry.standing.is_ok());
        table.entries.len() != before
    }

    /// The place with this name.
    pub(crate) fn place(&self, name: &[u8]) -> Option<Arc<Place>> {
        let table = self.table.lock();
        table
            .entries
            .iter()
            .find(|entry| entry.rule.busname.as_bytes() == name)
            .map(|entry| entry.place.clone())
    }

    /// The places whose entries satisfy a condition, in the order of their names: one after
    /// the other, without the lock in between and without memory, which there may be none
    /// of. What comes or goes meanwhile may be among them or not.
    pub(crate) fn places<'a>(
        &'a self,
        mut which: impl FnMut(&Rule, &Result<Origin, Leave>) -> bool + 'a,
    ) -> impl Iterator<Item = Arc<Place>> + 'a {
        let mut last: Option<BusName> = None;
        core::iter::from_fn(move || {
            let table = self.table.lock();
            let later = table
                .entries
                .iter()
                .filter(|entry| last.is_none_or(|last| entry.rule.busname > last));
            let entry = later
                .filter(|entry| which(&entry.rule, &entry.standing))
                .min_by_key(|entry| entry.rule.busname)?;
            last = Some(entry.rule.busname);
            Some(entry.place.clone())
        })
    }

    /// Calls `each` with every rule that stands, in the order they were made.
    pub(crate) fn for_each_rule(&self, mut each: impl FnMut(&Rule) -> Result) -> Result {
        self.table.lock().rules().try_for_each(&mut each)
    }

    /// Calls `each` with every rule that has ended and keeps its port reserved.
    pub(crate) fn for_each_reserved(&self, each: impl FnMut(&Rule) -> Result) -> Result {
        let table = self.table.lock();
        table
            .entries
            .iter()
            .filter(|entry| entry.standing == Err(Leave::Reserved))
            .map(|entry| &entry.rule)
            .try_for_each(each)
    }

    /// The rule of the toolstack for a target.
    pub(crate) fn toolstack_rule(&self, target: &Target) -> Option<Rule> {
        let table = self.table.lock();
        table
            .entries
            .iter()
            .find(|entry| entry.standing == Ok(Origin::XenStore) && entry.rule.target == *target)
            .map(|entry| entry.rule)
    }

    /// Some domain with rules that come after `after`, for going through all.
    pub(crate) fn next_domain(&self, after: Option<u16>) -> Option<u16> {
        let table = self.table.lock();
        table
            .rules()
            .map(|rule| rule.target.domid)
            .filter(|domid| after.is_none_or(|after| *domid > after))
            .min()
    }

    /// A domain has been seen alive.
    pub(crate) fn domain_seen(&self, domid: u16) {
        let mut table = self.table.lock();
        for entry in &mut table.entries {
            if entry.rule.target.domid == domid {
                entry.seen = true;
            }
        }
    }

    /// A domain is dead: ends one of its rules and returns it.
    pub(crate) fn end_rule_of(&self, domid: u16) -> Option<(Rule, Arc<Place>)> {
        let mut table = self.table.lock();
        let entry = table.entries.iter_mut().find(|entry| {
            entry.seen && entry.standing.is_ok() && entry.rule.target.domid == domid
        })?;
        entry.standing = Err(Leave::Reserved);
        Some((entry.rule, entry.place.clone()))
    }

    /// Makes a vusb known.
    pub(crate) fn add_vusb(&self, vusb: &Arc<Vusb>) -> Result {
        let mut table = self.table.lock();
        table.vusbs.push(vusb.clone(), GFP_KERNEL)?;
        Ok(())
    }

    /// Makes it unknown.
    pub(crate) fn remove_vusb(&self, vusb: &Arc<Vusb>) {
        let mut table = self.table.lock();
        table.vusbs.retain(|known| !Arc::ptr_eq(known, vusb));
    }

    /// The vusb of a target.
    pub(crate) fn vusb(&self, target: &Target) -> Option<Arc<Vusb>> {
        let table = self.table.lock();
        table
            .vusbs
            .iter()
            .find(|vusb| vusb.domid == target.domid && vusb.id == target.vusb)
            .cloned()
    }

    /// Has every place looked at, forgetting what has failed before.
    pub(crate) fn look_again(&self) {
        for place in self.places(|_, _| true) {
            place.retry();
        }
    }

    /// The module goes: takes no more rules, and gives every device back.
    pub(crate) fn release_all(self: &Arc<Self>) {
        {
            let mut table = self.table.lock();
            table.closing = true;
            for entry in &mut table.entries {
                entry.standing = Err(Leave::ToHost);
            }
        }
        for place in self.places(|_, _| true) {
            place.settle_now();
        }
    }

    /// Nobody calls any more: waits for the last work and lets go of all.
    pub(crate) fn end(&self) {
        self.queue.close();
        // No sweep registers them any more.
        let watches = core::mem::take(&mut *self.watches.lock());
        drop(watches);
        let table = core::mem::take(&mut *self.table.lock());
        drop(table);
    }
}
