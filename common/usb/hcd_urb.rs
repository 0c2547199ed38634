// SPDX-License-Identifier: GPL-2.0

//! A URB in the hands of the host controller.

pub use crate::{
    endpoint::TransferType,
    hcd_urb_iso::Packet, //
};

use crate::{device::Speed, endpoint::period};
use core::ptr::NonNull;
use xen_sys::bindings;

/// A number that a driver keeps in a URB or an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u32);

impl Key {
    /// As a pointer that is not null.
    fn to_pointer(self) -> *mut kernel::ffi::c_void {
        (self.0 as usize).wrapping_add(1) as *mut kernel::ffi::c_void
    }

    fn from_pointer(pointer: *mut kernel::ffi::c_void) -> Option<Self> {
        let number = (pointer as usize).checked_sub(1)?;
        u32::try_from(number).ok().map(Self)
    }
}

/// Key of a URB.
///
/// # Safety
///
/// `urb` must be a URB of the controller whose lock is held.
pub(crate) unsafe fn urb_key(urb: *mut bindings::urb) -> Option<Key> {
    // SAFETY: By this function's contract.
    Key::from_pointer(unsafe { (*urb).hcpriv })
}

/// Key of an endpoint.
///
/// # Safety
///
/// `ep` must be an endpoint of the controller whose lock is held.
pub(crate) unsafe fn endpoint_key(ep: *mut bindings::usb_host_endpoint) -> Option<Key> {
    // SAFETY: By this function's contract.
    Key::from_pointer(unsafe { (*ep).hcpriv })
}

/// A field of a [`Urb`]. Not through a reference to the whole, in which the core changes
/// others meanwhile: counters, lists, `unlinked`.
macro_rules! field {
    ($urb:expr, $name:ident) => {{
        let raw = $urb.as_ptr();
        // SAFETY: By the type's invariants the URB is valid, and nobody else changes the
        // fields that are read here.
        unsafe { (*raw).$name }
    }};
}
pub(crate) use field;

/// A URB that the core has handed over. It must be given back exactly once,
/// with [`Locked::give_back`](crate::hcd::Locked::give_back).
///
/// Methods that look at the buffer may be called with or without the lock.
///
/// # Invariants
///
/// The URB is linked to its endpoint and has not been given back, so that the
/// core keeps it, its device and its endpoint. Nobody else changes the fields
/// that are read here.
pub struct Urb(NonNull<bindings::urb>);

// SAFETY: A URB may be handled by any thread.
unsafe impl Send for Urb {}
// SAFETY: With a shared reference, fields are only read.
unsafe impl Sync for Urb {}

impl Urb {
    /// # Safety
    ///
    /// The type's invariants must hold, and it must be the only one of it.
    pub(crate) unsafe fn from_raw(raw: NonNull<bindings::urb>) -> Self {
        Self(raw)
    }

    /// Ends the ownership; the caller gives it back to the core.
    pub(crate) fn into_raw(self) -> NonNull<bindings::urb> {
        let raw = self.0;
        core::mem::forget(self);
        raw
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::urb {
        self.0.as_ptr()
    }

    /// Sets the number by which the driver is asked to give this one back
    /// early. Only with the lock held, in `enqueue`.
    pub fn set_key(&mut self, key: Key) {
        // SAFETY: The field is ours, under the lock.
        unsafe { (*self.0.as_ptr()).hcpriv = key.to_pointer() };
    }

    /// The number of the endpoint, if it has been set. With the lock held.
    #[must_use]
    pub fn endpoint_key(&self) -> Option<Key> {
        // SAFETY: By the type's invariants.
        unsafe { endpoint_key(self.ep()) }
    }

    /// Gives the endpoint a number, until it is disabled. With the lock held.
    pub fn set_endpoint_key(&mut self, key: Key) {
        // SAFETY: The endpoint is valid by the type's invariants, and the field
        // is ours, under the lock.
        unsafe { (*self.ep()).hcpriv = key.to_pointer() };
    }

    fn ep(&self) -> *mut bindings::usb_host_endpoint {
        field!(self, ep)
    }

    fn descriptor(&self) -> &bindings::usb_endpoint_descriptor {
        // SAFETY: The endpoint is valid by the type's invariants.
        unsafe { &(*self.ep()).desc }
    }

    /// Type of the transfer.
    #[must_use]
    pub fn transfer_type(&self) -> TransferType {
        TransferType::of(self.descriptor())
    }

    /// Endpoint number, 0..=15.
    #[must_use]
    pub fn endpoint(&self) -> u8 {
        self.descriptor().bEndpointAddress & 0x0f
    }

    /// wMaxPacketSize in bytes, without the count of further transactions.
    #[must_use]
    pub fn max_packet(&self) -> u16 {
        u16::from_le(self.descriptor().wMaxPacketSize) & 0x7ff
    }

    /// Whether the data comes from the device (as usb_submit_urb() has noted).
    #[must_use]
    pub fn is_in(&self) -> bool {
        field!(self, transfer_flags) & bindings::URB_DIR_IN != 0
    }

    /// URB_SHORT_NOT_OK.
    #[must_use]
    pub fn short_not_ok(&self) -> bool {
        field!(self, transfer_flags) & bindings::URB_SHORT_NOT_OK != 0
    }

    /// URB_ZERO_PACKET.
    #[must_use]
    pub fn zero_packet(&self) -> bool {
        field!(self, transfer_flags) & bindings::URB_ZERO_PACKET != 0
    }

    /// Address of the device, 0..=127; 0 before it has one.
    #[must_use]
    pub fn device_address(&self) -> u8 {
        (field!(self, pipe).wrapping_shr(8) & 0x7f) as u8
    }

    /// The root hub's port that leads to the device, 1..; 0 for the root hub.
    #[must_use]
    pub fn root_port(&self) -> u8 {
        let mut dev = field!(self, dev);
        // SAFETY: A device keeps its parents until it is deleted, before which the core
        // has its URBs given back. The root hub has none, and only
        // it has port number 0.
        unsafe {
            while !(*dev).parent.is_null() && !(*(*dev).parent).parent.is_null() {
                dev = (*dev).parent;
            }
            (*dev).portnum
        }
    }

    /// The setup packet of a control transfer.
    #[must_use]
    pub fn setup(&self) -> Option<[u8; 8]> {
        let packet = field!(self, setup_packet);
        if packet.is_null() || self.transfer_type() != TransferType::Control {
            return None;
        }
        // SAFETY: A control URB has a setup packet of 8 bytes.
        Some(unsafe { packet.cast::<[u8; 8]>().read_unaligned() })
    }

    /// Bytes of the buffer.
    #[must_use]
    pub fn length(&self) -> u32 {
        field!(self, transfer_buffer_length)
    }

    /// Interval between packets of a periodic transfer, in frames, or in
    /// microframes at high speed.
    #[must_use]
    pub fn interval(&self) -> u32 {
        u32::try_from(field!(self, interval)).unwrap_or(0)
    }

    /// Sets the interval to what it will be: the endpoint's own, whatever the
    /// class driver has asked for, as xHCI does. Nothing happens to a transfer
    /// that is not periodic.
    pub fn use_own_interval(&mut self) {
        let descriptor = self.descriptor();
        let dev = field!(self, dev);
        // SAFETY: The device is valid by the type's invariants; its speed does
        // not change.
        let speed = Speed::from_raw(unsafe { (*dev).speed });
        let own = period(self.transfer_type(), speed, descriptor.bInterval);
        // usb_submit_urb() makes a power of two of what it is given.
        if let Some(exponent) = own.checked_ilog2() {
            // SAFETY: The URB is valid, and the field ours to change. At most
            // 2 to the 15th.
            unsafe { (*self.as_ptr()).interval = 1i32.wrapping_shl(exponent) };
        }
    }

    /// Whether there is a buffer for what is to be moved.
    #[must_use]
    pub fn has_buffer(&self) -> bool {
        self.length() == 0 || !self.linear().is_null() || !self.list().is_null()
    }

    /// The buffer's list of pieces; null: there is none.
    pub(crate) fn list(&self) -> *mut bindings::scatterlist {
        if field!(self, num_sgs) > 0 {
            field!(self, sg)
        } else {
            core::ptr::null_mut()
        }
    }

    /// The buffer, if it is in one piece; null: it is not, or there is none.
    pub(crate) fn linear(&self) -> *mut u8 {
        field!(self, transfer_buffer).cast()
    }
}

impl Drop for Urb {
    fn drop(&mut self) {
        // Not unsound, but whoever unlinks it will wait for ever.
        kernel::pr_err_once!("a URB was lost\n");
    }
}
