// SPDX-License-Identifier: GPL-2.0

//! Descriptors (USB 2.0, section 9.6): built from what they mean, with every
//! length and count filled in.

use crate::device::Speed;

/// bDescriptorType of a device descriptor.
pub const DEVICE: u8 = 1;
/// bDescriptorType of a configuration.
pub const CONFIGURATION: u8 = 2;
/// bDescriptorType of a string.
pub const STRING: u8 = 3;
/// bDescriptorType of an interface.
pub const INTERFACE: u8 = 4;
/// bDescriptorType of an endpoint.
pub const ENDPOINT: u8 = 5;
/// bDescriptorType of what a high-speed device says about its full-speed self.
pub const QUALIFIER: u8 = 6;
/// bDescriptorType of a configuration at the other of full and high speed.
pub const OTHER_SPEED: u8 = 7;
/// bDescriptorType of a class's own descriptor of an interface.
pub const CS_INTERFACE: u8 = 0x24;
/// bDescriptorType of a class's own descriptor of an endpoint.
pub const CS_ENDPOINT: u8 = 0x25;

/// bmAttributes of a configuration: nothing but the bit that is always set.
pub const PLAIN: u8 = 0x80;
/// bmAttributes: the device can wake its host.
pub const REMOTE_WAKEUP: u8 = 0x20;

/// bmAttributes of a control endpoint.
pub const CONTROL: u8 = 0;
/// bmAttributes of an isochronous endpoint without synchronization.
pub const ISOCHRONOUS: u8 = 1;
/// bmAttributes of an isochronous endpoint with a rate of its own.
pub const ISOCHRONOUS_ASYNC: u8 = 5;
/// bmAttributes of a bulk endpoint.
pub const BULK: u8 = 2;
/// bmAttributes of an interrupt endpoint.
pub const INTERRUPT: u8 = 3;

/// An endpoint as its descriptor tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// bEndpointAddress: number, and 0x80 for IN.
    pub address: u8,
    /// bmAttributes: [`BULK`] and its like.
    pub attributes: u8,
    /// wMaxPacketSize, with the further transactions of a microframe in bits 11 and 12.
    pub max_packet: u16,
    /// bInterval.
    pub interval: u8,
}

impl Endpoint {
    /// Whether its transfers are made of packets with a time each.
    #[must_use]
    pub fn isochronous(&self) -> bool {
        self.attributes & 3 == ISOCHRONOUS
    }

    /// Bytes of one packet, all transactions of a microframe together.
    #[must_use]
    pub fn payload(&self) -> usize {
        usize::from(self.max_packet & 0x7ff) * (1 + usize::from((self.max_packet >> 11) & 3))
    }

    /// Microframes between two packets of an isochronous endpoint.
    #[must_use]
    pub fn period(&self, speed: Speed) -> u64 {
        let unit = if speed == Speed::High { 1 } else { 8 };
        unit << (self.interval.clamp(1, 16) - 1)
    }
}

/// What a device descriptor says; the rest of it is the same for all.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// bDeviceClass, bDeviceSubClass, bDeviceProtocol.
    pub class: [u8; 3],
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
}

impl Identity {
    /// The device descriptor. Strings 1 to 3 are manufacturer, product and serial number.
    #[must_use]
    pub fn descriptor(&self, max_packet0: u8, configurations: u8) -> Vec<u8> {
        let mut out = vec![18, DEVICE, 0x00, 0x02];
        out.extend(self.class);
        out.push(max_packet0);
        out.extend(self.vendor.to_le_bytes());
        out.extend(self.product.to_le_bytes());
        out.extend([0x00, 0x01, 1, 2, 3, configurations]);
        out
    }

    /// The device qualifier, whose other speed has the same class.
    #[must_use]
    pub fn qualifier(&self, configurations: u8) -> Vec<u8> {
        let [class, subclass, protocol] = self.class;
        vec![
            10,
            QUALIFIER,
            0x00,
            0x02,
            class,
            subclass,
            protocol,
            64,
            configurations,
            0,
        ]
    }
}

/// A string descriptor.
#[must_use]
pub fn string(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text
        .encode_utf16()
        .take(126)
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut out = vec![units.len() as u8 + 2, STRING];
    out.extend(units);
    out
}

/// One alternate setting of one interface.
#[derive(Clone, Debug)]
pub struct Setting {
    /// bInterfaceNumber.
    pub interface: u8,
    /// bAlternateSetting.
    pub alternate: u8,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    at: usize,
}

/// A configuration descriptor with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Configuration {
    bytes: Vec<u8>,
    settings: Vec<Setting>,
}

impl Configuration {
    /// An empty configuration with bConfigurationValue 1.
    #[must_use]
    pub fn new(attributes: u8) -> Self {
        Configuration {
            bytes: vec![9, CONFIGURATION, 9, 0, 0, 1, 0, attributes, 50],
            settings: Vec::new(),
        }
    }

    /// Says that the next interfaces, `count` of them, are one function.
    #[must_use]
    pub fn association(self, first: u8, count: u8, class: [u8; 3]) -> Self {
        self.raw(&[8, 11, first, count, class[0], class[1], class[2], 0])
    }

    /// Begins an alternate setting of an interface.
    #[must_use]
    pub fn setting(mut self, interface: u8, alternate: u8, class: [u8; 3]) -> Self {
        let at = self.bytes.len();
        self.settings.push(Setting {
            interface,
            alternate,
            endpoints: Vec::new(),
            at,
        });
        let mut numbers: Vec<u8> = self
            .settings
            .iter()
            .map(|setting| setting.interface)
            .collect();
        numbers.dedup();
        self.bytes[4] = numbers.len() as u8;
        self.raw(&[
            9, INTERFACE, interface, alternate, 0, class[0], class[1], class[2], 0,
        ])
    }

    /// Adds an endpoint to the setting begun last; a class may lengthen its descriptor.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint, longer: &[u8]) -> Self {
        if let Some(setting) = self.settings.last_mut() {
            setting.endpoints.push(endpoint);
            self.bytes[setting.at + 4] += 1;
        }
        let [low, high] = endpoint.max_packet.to_le_bytes();
        let length = 7 + longer.len() as u8;
        self.raw(&[
            length,
            ENDPOINT,
            endpoint.address,
            endpoint.attributes,
            low,
            high,
            endpoint.interval,
        ])
        .raw(longer)
    }

    /// Adds a class's descriptor of the given type; its length is put before it.
    #[must_use]
    pub fn class(self, kind: u8, body: &[u8]) -> Self {
        self.raw(&[body.len() as u8 + 2, kind]).raw(body)
    }

    /// Adds a class's descriptor of an interface.
    #[must_use]
    pub fn class_interface(self, body: &[u8]) -> Self {
        self.class(CS_INTERFACE, body)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        let total = (self.bytes.len() as u16).to_le_bytes();
        self.bytes[2..4].copy_from_slice(&total);
        self
    }

    /// The bytes that GET_DESCRIPTOR returns.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Every alternate setting of every interface.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }
}
