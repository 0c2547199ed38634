// SPDX-License-Identifier: GPL-2.0

//! Rules end with their domain: domids are used again, and a device must not
//! follow a number to another guest. A rule for a domain that has not existed
//! yet waits for it.

use crate::backend::Backend;
use crate::Show;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::{
    atomic::{Acquire, Release},
    Arc,
};
use xen::patience::patiently;
use xen::watch::{Handler, Watch};
use xen::xenstore::{path, Store};

/// Hears that XenStore can be asked.
pub(crate) struct XenstoreUp(pub(crate) Arc<Backend>);

impl Handler for XenstoreUp {
    fn changed(&self) {
        self.0.xenstore.store(true, Release);
        self.0.sweep_soon();
    }
}

/// Whether a domain exists.
enum Life {
    Alive,
    Gone,
    /// A driver domain may not be allowed to know. Then its rules end by hand.
    Unknown,
}

fn life(domid: u16) -> Life {
    let Ok(node) = path(fmt!("{domid}")) else {
        return Life::Unknown;
    };
    match Store::DIRECT.read::<1>(c"/local/domain", &node) {
        Ok(_) | Err(E2BIG) => Life::Alive,
        Err(ENOENT) => Life::Gone,
        Err(_) => Life::Unknown,
    }
}

/// Hears of domains that come and go.
pub(crate) struct Domains(Arc<Backend>);

impl Handler for Domains {
    fn changed(&self) {
        self.0.sweep_soon();
    }
}

impl Backend {
    /// Looks for every rule whether its domain lives.
    pub(crate) fn sweep_domains(self: &Arc<Self>) {
        if !self.xenstore.load(Acquire) {
            return;
        }
        let _ = patiently(|| self.watch_domains());
        let mut last = None;
        while let Some(domid) = self.next_domain(last) {
            last = Some(domid);
            match life(domid) {
                Life::Alive => self.domain_seen(domid),
                Life::Unknown => {}
                Life::Gone => {
                    while let Some((rule, place)) = self.end_rule_of(domid) {
                        pr_info!(
                            "domain {} is gone, and its rule {} with it\n",
                            domid,
                            Show(&rule)
                        );
                        place.look();
                    }
                }
            }
        }
    }

    /// Once.
    ///
    /// # Errors
    ///
    /// As [`Watch::new`], in a domain that may not know of others; the next sweep tries again.
    fn watch_domains(self: &Arc<Self>) -> Result {
        let mut watches = self.watches.lock();
        if !watches.is_empty() {
            return Ok(());
        }
        let domains = Arc::new(Domains(self.clone()), GFP_KERNEL)?;
        // Both or none.
        let mut both = KVec::with_capacity(2, GFP_KERNEL)?;
        for path in [c"@introduceDomain", c"@releaseDomain"] {
            let path = CString::try_from(path)?;
            both.push(
                KBox::pin_init(Watch::new(path, domains.clone()), GFP_KERNEL)?,
                GFP_KERNEL,
            )?;
        }
        *watches = both;
        Ok(())
    }
}
