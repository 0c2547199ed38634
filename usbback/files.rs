// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/bus/usb/drivers/usbback/`: those of 2009, and one that
//! lists what they leave behind.

use crate::{claims::Claims, toolstack};
use core::fmt::Write;
use kernel::prelude::*;
use usb::driver_files::{File, ReadFile, Report, StoreFile};
use usbback_core::{Origin, Rule};

/// All of them.
pub(crate) const FILES: &[File<Claims>] = &[
    File::store::<NewVport>(),
    File::store::<RemoveVport>(),
    File::read::<Vports>(),
    File::read::<GrabbedDevices>(),
    File::read::<ReservedPorts>(),
];

fn parse(input: &[u8]) -> Result<Rule> {
    Rule::parse(input).map_err(|_| EINVAL)
}

/// Adds a rule.
struct NewVport;

impl StoreFile for NewVport {
    type Driver = Claims;
    const NAME: &'static CStr = c"new_vport";

    fn store(driver: &Claims, input: &[u8]) -> Result {
        let rule = parse(input)?;
        let backend = &driver.0;
        let (place, before) = backend.add(rule, Origin::Sysfs)?;
        if let Err(error) = place.check_free() {
            if !backend.take_back(&rule, before) {
                place.let_go();
            }
            return Err(error);
        }
        // Whether the domain lives: if it does not, the rule waits for it.
        backend.sweep_soon();
        place.settle_now();
        Ok(())
    }
}

/// Ends a rule, or the reservation that one has left behind.
struct RemoveVport;

impl StoreFile for RemoveVport {
    type Driver = Claims;
    const NAME: &'static CStr = c"remove_vport";

    fn store(driver: &Claims, input: &[u8]) -> Result {
        toolstack::remove(&driver.0, &parse(input)?)?.settle_now();
        Ok(())
    }
}

/// Every rule, one a line, in the input's format.
struct Vports;

impl ReadFile for Vports {
    type Driver = Claims;
    const NAME: &'static CStr = c"vports";

    fn render(driver: &Claims, out: &mut Report) -> Result {
        driver
            .0
            .for_each_rule(|rule| writeln!(out, "{rule}").map_err(|_| ENOMEM))
    }
}

/// Every claimed interface, one a line.
struct GrabbedDevices;

impl ReadFile for GrabbedDevices {
    type Driver = Claims;
    const NAME: &'static CStr = c"grabbed_devices";

    fn render(driver: &Claims, out: &mut Report) -> Result {
        for place in driver.0.places(|_, _| true) {
            let interfaces = place.interfaces();
            for number in interfaces.iter() {
                let configuration = interfaces.configuration();
                writeln!(out, "{}:{}.{}", place.busname, configuration, number)
                    .map_err(|_| ENOMEM)?;
            }
        }
        Ok(())
    }
}

/// Every port that a former rule keeps from the host, one a line: that rule,
/// which releases the port when it is written to `remove_vport`.
struct ReservedPorts;

impl ReadFile for ReservedPorts {
    type Driver = Claims;
    const NAME: &'static CStr = c"reserved_ports";

    fn render(driver: &Claims, out: &mut Report) -> Result {
        driver
            .0
            .for_each_reserved(|rule| writeln!(out, "{rule}").map_err(|_| ENOMEM))
    }
}
