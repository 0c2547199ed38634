// SPDX-License-Identifier: GPL-2.0

//! Messages of the other domain: what comes out of a parser keeps the promises
//! of its type, what does not is refused with the id that it carried.

use usbif::*;

fn entry(bytes: &[u8]) -> [u8; URB_ENTRY] {
    let mut entry = [0; URB_ENTRY];
    let length = bytes.len().min(URB_ENTRY);
    entry[..length].copy_from_slice(&bytes[..length]);
    entry
}

fn id_of(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

/// Segments lie in their pages and in the request.
pub fn segments(segments: &Segments) {
    assert!(segments.len() <= MAX_INDIRECT);
    assert_eq!(segments.is_empty(), segments.len() == 0);
    assert_eq!(segments.as_slice().len(), segments.len());
    let mut total = 0;
    for segment in segments.as_slice() {
        assert!(segment.length > 0);
        assert!(u32::from(segment.offset) + u32::from(segment.length) <= 4096);
        total += u32::from(segment.length);
    }
    assert_eq!(segments.total(), total);
}

/// An entry of the urb ring, at the backend.
pub fn request(bytes: &[u8]) {
    let entry = entry(bytes);
    let id = id_of(&entry);
    let request = match Request::parse(&entry) {
        Err(refused) => {
            assert_eq!(refused.id, id);
            assert!(!refused.reason.is_empty());
            return;
        }
        Ok(request) => request,
    };
    assert_eq!(request.id(), id);
    match &request {
        Request::Unlink { port, device, .. } => assert!(*port < 32 && *device < 128),
        Request::Suspend { port, .. } => {
            assert!((1..=31).contains(&port.get()));
        }
        Request::Submit(submit) => {
            assert!(submit.data.len() <= MAX_SEGMENTS && submit.data.total() <= MAX_TRANSFER);
            self::submit(submit);
        }
        Request::Indirect(indirect) => {
            // The list is the other side's memory: whatever it is now.
            let list: [u8; Indirect::LIST] =
                core::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0));
            self::indirect(indirect, &list);
        }
    }
    // It means the same when it is said again.
    assert_eq!(Request::parse(&request.encode()), Ok(request));
}

/// A request whose segments are in a list.
pub fn indirect(indirect: &Indirect, list: &[u8; Indirect::LIST]) {
    let place = indirect.list();
    assert!(place.length > 0 && usize::from(place.length) <= Indirect::LIST);
    assert!(u32::from(place.offset) + u32::from(place.length) <= 4096);
    assert!(indirect.submit().data.is_empty());
    match indirect.complete(list) {
        Err(refused) => assert_eq!(refused.id, indirect.submit().id),
        Ok(submit) => {
            assert_eq!(submit.data.len() * 8, usize::from(place.length));
            self::submit(&submit);
            // It means the same when it is said again.
            let mut written = [0; Indirect::LIST];
            submit.write_list(&mut written);
            let length = usize::from(place.length);
            assert_eq!(written[..length], list[..length]);
            let again = submit.entry_with_list(place);
            assert_eq!(Request::parse(&again), Ok(Request::Indirect(*indirect)));
        }
    }
}

fn submit(submit: &Submit) {
    assert!((1..=31).contains(&submit.port.get()));
    assert!(submit.device < 128 && submit.endpoint < 16);
    segments(&submit.data);
    match &submit.kind {
        Kind::Control(setup) => {
            assert_eq!(u32::from(setup.length()), submit.data.total());
            assert_eq!(setup.direction(), submit.direction);
            assert_eq!(submit.default_control().is_some(), submit.endpoint == 0);
        }
        Kind::Isochronous {
            packets,
            descriptors,
            ..
        } => {
            segments(descriptors);
            assert!(*packets > 0);
            assert_eq!(descriptors.total(), u32::from(*packets) * 16);
            assert!(submit.data.len() + descriptors.len() <= MAX_SEGMENTS);
        }
        Kind::Bulk | Kind::Interrupt { .. } => {
            assert_eq!(submit.default_control(), None);
        }
    }
}

/// An entry of the urb ring, at the frontend.
pub fn response(bytes: &[u8]) {
    let entry = entry(bytes);
    match Response::parse(&entry) {
        Err(refused) => assert_eq!(refused.id, id_of(&entry)),
        Ok(response) => {
            assert_eq!(response.id, id_of(&entry));
            assert!(response.actual_length <= i32::MAX as u32);
            assert!(response.error_count <= i32::MAX as u32);
            assert_eq!(response.encode(), entry[..RESPONSE]);
            status(response.status.errno());
        }
    }
}

/// An entry of the conn ring, at either end.
pub fn connection_event(bytes: &[u8]) {
    let mut entry = [0; CONN_ENTRY];
    let length = bytes.len().min(CONN_ENTRY);
    entry[..length].copy_from_slice(&bytes[..length]);
    match ConnEvent::parse(&entry) {
        Ok(event) => assert_eq!(event.encode(), entry),
        Err(refused) => {
            assert_eq!(refused.id, id_of(&entry));
            assert!(!(1..=31).contains(&entry[2]) || entry[3] > 3);
        }
    }
    let id = ConnEvent::request_id(&entry);
    assert_eq!(ConnEvent::request_id(&ConnEvent::request(id)), id);
}

/// A status of a URB: it has a place on the wire, and the wire's are fixed
/// points.
pub fn status(status: i32) {
    let wire = Status::from_urb(status);
    assert_eq!(Status::from_wire(wire.errno()), Some(wire));
    assert_eq!(Status::from_urb(wire.errno()), wire);
    if let Some(known) = Status::from_wire(status) {
        assert_eq!(known.errno(), status);
    }
}

/// A descriptor of an isochronous packet, a transfer's length, a status.
pub fn descriptor(bytes: &[u8]) {
    let mut field = [0; IsoDescriptor::SIZE + 4];
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
    let [descriptor @ .., a, b, c, d] = field;
    let total = u32::from_le_bytes([a, b, c, d]);
    let packet = IsoDescriptor::parse(&descriptor);
    assert_eq!(IsoDescriptor::parse(&packet.encode()), packet);
    // -EREMOTEIO is the lowest of those that a controller reports.
    assert!((-121..=0).contains(&packet.status));
    assert_eq!(iso_status(packet.status), packet.status);
    let end = u64::from(packet.offset) + u64::from(packet.length);
    assert_eq!(packet.fits(total), end <= u64::from(total));
    status(i32::from_le_bytes([a, b, c, d]));
}
