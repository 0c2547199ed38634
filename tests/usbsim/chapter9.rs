// SPDX-License-Identifier: GPL-2.0

//! The standard requests of a well-behaved device (USB 2.0, section 9.4).

use std::collections::{BTreeMap, BTreeSet};

use usbif::SetupPacket;

use crate::descriptor::{self, Configuration, Endpoint, Identity};
use crate::device::{Answer, Speed};

const GET_STATUS: u8 = 0;
const CLEAR_FEATURE: u8 = 1;
const SET_FEATURE: u8 = 3;
const GET_DESCRIPTOR: u8 = 6;
const GET_CONFIGURATION: u8 = 8;
const SET_CONFIGURATION: u8 = 9;
const GET_INTERFACE: u8 = 10;
const SET_INTERFACE: u8 = 11;

const ENDPOINT_HALT: u16 = 0;
const DEVICE_REMOTE_WAKEUP: u16 = 1;

/// A device's descriptors, and its state as chapter 9 has it.
#[derive(Clone, Debug)]
pub struct Chapter9 {
    speed: Speed,
    identity: Identity,
    configuration: Configuration,
    strings: [&'static str; 3],
    /// Descriptors that a class adds, by wValue (type and index).
    class: BTreeMap<u16, Vec<u8>>,
    configured: bool,
    alternates: BTreeMap<u8, u8>,
    halted: BTreeSet<u8>,
    remote_wakeup: bool,
}

impl Chapter9 {
    /// An unconfigured device.
    #[must_use]
    pub fn new(
        speed: Speed,
        identity: Identity,
        product: &'static str,
        configuration: Configuration,
    ) -> Self {
        Chapter9 {
            speed,
            identity,
            configuration,
            strings: ["lab", product, "000000000001"],
            class: BTreeMap::new(),
            configured: false,
            alternates: BTreeMap::new(),
            halted: BTreeSet::new(),
            remote_wakeup: false,
        }
    }

    /// Adds a class's descriptor that GET_DESCRIPTOR finds by type, with index 0.
    #[must_use]
    pub fn with(mut self, kind: u8, bytes: &[u8]) -> Self {
        self.class.insert(u16::from(kind) << 8, bytes.to_vec());
        self
    }

    /// The alternate setting of an interface, 0 before one is selected.
    #[must_use]
    pub fn alternate(&self, interface: u8) -> u8 {
        self.alternates.get(&interface).copied().unwrap_or(0)
    }

    /// Whether the host has allowed the device to wake it.
    #[must_use]
    pub fn remote_wakeup(&self) -> bool {
        self.remote_wakeup
    }

    /// Whether an endpoint answers STALL.
    #[must_use]
    pub fn halted(&self, address: u8) -> bool {
        self.halted.contains(&address)
    }

    /// An endpoint, if what is selected has it.
    #[must_use]
    pub fn endpoint(&self, address: u8) -> Option<Endpoint> {
        let settings = self
            .configuration
            .settings()
            .iter()
            .filter(|_| self.configured);
        settings
            .filter(|setting| self.alternate(setting.interface) == setting.alternate)
            .flat_map(|setting| setting.endpoints.iter())
            .find(|endpoint| endpoint.address == address)
            .copied()
    }

    /// Carries out a standard request; None for one it does not know.
    pub fn request(&mut self, setup: &SetupPacket) -> Option<Answer> {
        let (value, index) = (setup.value(), setup.index());
        let low = index as u8;
        match (setup.request_type(), setup.request()) {
            (0x80, GET_STATUS) => Some(Answer::Send(vec![u8::from(self.remote_wakeup) << 1, 0])),
            (0x81, GET_STATUS) => Some(Answer::Send(vec![0, 0])),
            (0x82, GET_STATUS) => Some(match low & 0x0f == 0 || self.endpoint(low).is_some() {
                true => Answer::Send(vec![u8::from(self.halted(low)), 0]),
                false => Answer::Stall,
            }),
            (0x80 | 0x81, GET_DESCRIPTOR) => self.descriptor(value).map(Answer::Send),
            (0x80, GET_CONFIGURATION) => Some(Answer::Send(vec![u8::from(self.configured)])),
            (0x00, SET_CONFIGURATION) => Some(self.set_configuration(value)),
            (0x81, GET_INTERFACE) => Some(Answer::Send(vec![self.alternate(low)])),
            (0x01, SET_INTERFACE) => Some(self.set_interface(low, value)),
            (0x00, SET_FEATURE | CLEAR_FEATURE) if value == DEVICE_REMOTE_WAKEUP => {
                self.remote_wakeup = setup.request() == SET_FEATURE;
                Some(Answer::Taken)
            }
            (0x02, SET_FEATURE | CLEAR_FEATURE) if value == ENDPOINT_HALT => {
                Some(self.set_halt(low, setup.request() == SET_FEATURE))
            }
            _ => None,
        }
    }

    fn descriptor(&self, value: u16) -> Option<Vec<u8>> {
        let [index, kind] = value.to_le_bytes();
        let max_packet0 = if self.speed == Speed::Low { 8 } else { 64 };
        match (kind, index) {
            (descriptor::DEVICE, 0) => Some(self.identity.descriptor(max_packet0, 1)),
            (descriptor::CONFIGURATION, 0) => Some(self.configuration.bytes().to_vec()),
            (descriptor::OTHER_SPEED, 0) if self.speed == Speed::High => {
                let mut other = self.configuration.bytes().to_vec();
                other[1] = descriptor::OTHER_SPEED;
                Some(other)
            }
            (descriptor::QUALIFIER, 0) if self.speed == Speed::High => {
                Some(self.identity.qualifier(1))
            }
            // The only language: English (United States).
            (descriptor::STRING, 0) => Some(vec![4, descriptor::STRING, 0x09, 0x04]),
            (descriptor::STRING, _) => self
                .strings
                .get(usize::from(index) - 1)
                .map(|text| descriptor::string(text)),
            _ => self.class.get(&value).cloned(),
        }
    }

    fn set_configuration(&mut self, value: u16) -> Answer {
        if value > 1 {
            return Answer::Stall;
        }
        self.configured = value == 1;
        self.alternates.clear();
        self.halted.clear();
        Answer::Taken
    }

    fn set_interface(&mut self, interface: u8, alternate: u16) -> Answer {
        let mut settings = self
            .configuration
            .settings()
            .iter()
            .filter(|_| self.configured);
        match settings.find(|s| s.interface == interface && u16::from(s.alternate) == alternate) {
            Some(setting) => {
                setting.endpoints.iter().for_each(|endpoint| {
                    self.halted.remove(&endpoint.address);
                });
                self.alternates.insert(interface, setting.alternate);
                Answer::Taken
            }
            None => Answer::Stall,
        }
    }

    fn set_halt(&mut self, address: u8, halt: bool) -> Answer {
        match self.endpoint(address) {
            // Endpoint 0 recovers by itself; an isochronous one has no halt.
            None => Answer::Stall,
            Some(endpoint) if endpoint.isochronous() => Answer::Stall,
            Some(_) if halt => {
                self.halted.insert(address);
                Answer::Taken
            }
            Some(_) => {
                self.halted.remove(&address);
                Answer::Taken
            }
        }
    }
}
