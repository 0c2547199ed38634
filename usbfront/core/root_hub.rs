// SPDX-License-Identifier: GPL-2.0

//! The root hub as the hub class asks it (USB 2.0, section 11.24).

use crate::port::{
    Millis, Port, UsbVersion, C_CONNECTION, C_ENABLE, C_OVER_CURRENT, C_RESET, C_SUSPEND,
};
use usbif::{PortNumber, Speed, MAX_PORTS};

// bmRequestType and bRequest in one number, as the core hands them over.
const CLEAR_HUB_FEATURE: u16 = 0x2001;
const CLEAR_PORT_FEATURE: u16 = 0x2301;
const GET_HUB_DESCRIPTOR: u16 = 0xa006;
const GET_HUB_STATUS: u16 = 0xa000;
const GET_PORT_STATUS: u16 = 0xa300;
const SET_PORT_FEATURE: u16 = 0x2303;

// Feature selectors (table 11-17).
const PORT_ENABLE: u16 = 1;
const PORT_SUSPEND: u16 = 2;
const PORT_RESET: u16 = 4;
const PORT_POWER: u16 = 8;
const FEATURE_C_CONNECTION: u16 = 16;
const FEATURE_C_ENABLE: u16 = 17;
const FEATURE_C_SUSPEND: u16 = 18;
const FEATURE_C_OVER_CURRENT: u16 = 19;
const FEATURE_C_RESET: u16 = 20;
/// C_HUB_LOCAL_POWER and C_HUB_OVER_CURRENT: never set, so clearing is easy.
const HUB_FEATURES: u16 = 1;

/// bDescriptorType of a hub.
const DESCRIPTOR_TYPE: u8 = 0x29;
/// No power switching, no over-current protection.
const CHARACTERISTICS: u16 = 0x0012;
/// bPwrOn2PwrGood, in 2 ms: a port without a wire has power at once, but the
/// hub driver of old kernels wants to see a figure.
const POWER_GOOD: u8 = 10;

/// The request is answered by a stall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubStall;

/// The backend says something about a port that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The hub has no such port.
    NoPort,
    /// High speed on a controller that is announced as USB 1.1.
    TooFast,
}

/// The root hub of one virtual host controller.
#[derive(Clone, Debug)]
pub struct RootHub {
    ports: [Port; MAX_PORTS as usize],
    count: u8,
    version: UsbVersion,
    /// The backend suspends devices.
    carries: bool,
    /// A bit for each port whose suspension the backend has to be told of.
    untold: u32,
    /// A bit for each whose suspension it has been told of and has not answered.
    unanswered: u32,
}

/// Bit of a port in a bitmap of ports.
fn bit(port: PortNumber) -> u32 {
    1u32.wrapping_shl(u32::from(port.get()))
}

impl RootHub {
    /// A hub with `count` ports, 1..=31, all without power.
    #[must_use]
    pub fn new(count: u8, version: UsbVersion) -> Option<Self> {
        PortNumber::new(count)?;
        Some(Self {
            ports: [Port::NEW; MAX_PORTS as usize],
            count,
            version,
            carries: false,
            untold: 0,
            unanswered: 0,
        })
    }

    /// Whether the backend suspends devices, which may wake up: see
    /// [`Self::next_suspend`]. Otherwise a suspended port is a matter of the hub alone.
    pub fn carry_suspend(&mut self, carries: bool) {
        self.carries = carries;
    }

    /// A port whose suspension the backend is to be told of now; it is until
    /// [`Self::told`]. One that waits for the answer of an earlier one comes later.
    pub fn next_suspend(&mut self) -> Option<PortNumber> {
        while self.untold & !self.unanswered != 0 {
            // At most 31, and not 0, which no port has.
            let number = (self.untold & !self.unanswered).trailing_zeros() as u8;
            let port = PortNumber::new(number)?;
            if self.ports.get(port.index()).is_some_and(Port::is_suspended) {
                return Some(port);
            }
            // It has been resumed before anybody was told.
            self.untold &= !bit(port);
        }
        None
    }

    /// The backend has been told of a port's suspension.
    pub fn told(&mut self, port: PortNumber) {
        self.untold &= !bit(port);
        self.unanswered |= bit(port);
    }

    /// The backend has answered. `suspended`: it has done so. True: the hub driver has
    /// something to see.
    pub fn suspend_answered(&mut self, port: PortNumber, suspended: bool, now: Millis) -> bool {
        if self.unanswered & bit(port) == 0 {
            // That was another device's.
            return false;
        }
        self.unanswered &= !bit(port);
        match self.ports.get_mut(port.index()) {
            Some(port) if !suspended => port.refuse(now),
            _ => false,
        }
    }

    /// Number of ports.
    #[must_use]
    pub fn count(&self) -> u8 {
        self.count
    }

    /// Takes in a connection event; what is said again of a suspended device is that it
    /// has woken up. True: the hub driver has something to see.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing has changed then, except that a port whose
    /// device is too fast counts as empty.
    pub fn connect(&mut self, port: PortNumber, speed: Speed) -> Result<bool, ConnectError> {
        let (version, carries) = (self.version, self.carries);
        let number = port;
        let port = self
            .port(u16::from(number.get()))
            .ok_or(ConnectError::NoPort)?;
        let too_fast = speed == Speed::High && version == UsbVersion::Usb11;
        let speed = if too_fast { Speed::None } else { speed };
        let again = port.attached() == speed;
        let news = if again && carries {
            port.wake()
        } else {
            port.attach(speed)
        };
        if !again {
            self.unanswered &= !bit(number);
        }
        if too_fast {
            return Err(ConnectError::TooFast);
        }
        Ok(news)
    }

    /// All devices are gone: the backend is.
    pub fn disconnect_all(&mut self) {
        for port in &mut self.ports {
            port.attach(Speed::None);
        }
        self.untold = 0;
        self.unanswered = 0;
    }

    /// What is attached to a port.
    #[must_use]
    pub fn attached(&self, port: PortNumber) -> Speed {
        self.ports
            .get(port.index())
            .map_or(Speed::None, Port::attached)
    }

    fn port(&mut self, number: u16) -> Option<&mut Port> {
        let number = u8::try_from(number).ok().filter(|&n| n <= self.count)?;
        self.ports.get_mut(PortNumber::new(number)?.index())
    }

    /// Answers a request of the hub class. `answer` is as long as the answer
    /// may be; what comes back is how much of it was filled.
    ///
    /// # Errors
    /// [`HubStall`] for what the hub does not know.
    pub fn control(
        &mut self,
        request: u16,
        value: u16,
        index: u16,
        now: Millis,
        answer: &mut [u8],
    ) -> Result<usize, HubStall> {
        match request {
            CLEAR_HUB_FEATURE if value <= HUB_FEATURES => Ok(0),
            GET_HUB_DESCRIPTOR => Ok(self.descriptor(answer)),
            GET_HUB_STATUS => Ok(fill(answer, &[0; 4])),
            GET_PORT_STATUS => {
                let port = self.port(index).ok_or(HubStall)?;
                port.advance(now);
                let [s0, s1] = port.status().to_le_bytes();
                let [c0, c1] = port.change().to_le_bytes();
                Ok(fill(answer, &[s0, s1, c0, c1]))
            }
            SET_PORT_FEATURE => {
                // The high byte is a selector of indicators and tests.
                let port = self.port(index & 0xff).ok_or(HubStall)?;
                match value {
                    PORT_POWER => port.power_on(),
                    PORT_RESET => port.reset(now),
                    PORT_SUSPEND => return self.suspend(index & 0xff, now),
                    // Tests and indicators that there are not.
                    _ => return Err(HubStall),
                }
                Ok(0)
            }
            CLEAR_PORT_FEATURE => {
                let port = self.port(index & 0xff).ok_or(HubStall)?;
                match value {
                    PORT_POWER => port.power_off(),
                    PORT_ENABLE => port.disable(),
                    PORT_SUSPEND => port.resume(now),
                    FEATURE_C_CONNECTION => port.clear_change(C_CONNECTION),
                    FEATURE_C_ENABLE => port.clear_change(C_ENABLE),
                    FEATURE_C_SUSPEND => port.clear_change(C_SUSPEND),
                    FEATURE_C_OVER_CURRENT => port.clear_change(C_OVER_CURRENT),
                    FEATURE_C_RESET => port.clear_change(C_RESET),
                    _ => return Err(HubStall),
                }
                Ok(0)
            }
            _ => Err(HubStall),
        }
    }

    fn suspend(&mut self, index: u16, now: Millis) -> Result<usize, HubStall> {
        let carries = self.carries;
        let port = self.port(index).ok_or(HubStall)?;
        let awake = !port.is_suspended();
        if !port.suspend(now) {
            return Err(HubStall);
        }
        if carries && awake && port.is_suspended() {
            // A number that has a port is one of 1..=31.
            self.untold |= 1u32.wrapping_shl(u32::from(index));
        }
        Ok(0)
    }

    /// Bytes of a bitmap with a bit for the hub and one for each port.
    fn bitmap_bytes(&self) -> usize {
        usize::from(self.count / 8).saturating_add(1)
    }

    fn descriptor(&self, answer: &mut [u8]) -> usize {
        let bitmap = self.bitmap_bytes();
        // DeviceRemovable: all are. PortPwrCtrlMask: all ones, for USB 1.0.
        let length = bitmap.saturating_mul(2).saturating_add(7);
        let mut bytes = [0; 15];
        let [low, high] = CHARACTERISTICS.to_le_bytes();
        // At most 15: 31 ports have 4 bytes in each bitmap.
        let head = [
            length as u8,
            DESCRIPTOR_TYPE,
            self.count,
            low,
            high,
            POWER_GOOD,
            0,
        ];
        fill(&mut bytes, &head);
        if let Some(mask) = bytes.get_mut(bitmap.saturating_add(7)..length) {
            mask.fill(0xff);
        }
        fill(answer, bytes.get(..length).unwrap_or_default())
    }

    /// The bitmap of what has changed, bit N for port N; 0 bytes when nothing
    /// has. For the interrupt endpoint, and it has no side effects on changes.
    pub fn status_data(&mut self, now: Millis, answer: &mut [u8]) -> usize {
        let mut bitmap = 0u32;
        for number in PortNumber::first(self.count) {
            if let Some(port) = self.ports.get_mut(number.index()) {
                port.advance(now);
                if port.change() != 0 {
                    bitmap |= 1u32.wrapping_shl(u32::from(number.get()));
                }
            }
        }
        if bitmap == 0 {
            return 0;
        }
        let bytes = bitmap.to_le_bytes();
        fill(answer, bytes.get(..self.bitmap_bytes()).unwrap_or_default())
    }
}

/// Copies what fits; returns how much did.
fn fill(answer: &mut [u8], bytes: &[u8]) -> usize {
    let length = bytes.len().min(answer.len());
    if let (Some(to), Some(from)) = (answer.get_mut(..length), bytes.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}
