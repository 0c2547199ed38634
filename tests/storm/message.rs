// SPDX-License-Identifier: GPL-2.0

//! What is written, so that it is recognized when it is read: the number of its
//! URB, then bytes that follow from it.

const HEADER: usize = 4;
/// Shortest message.
pub(crate) const SHORTEST: usize = HEADER;

fn byte(number: usize, at: usize) -> u8 {
    (number.wrapping_mul(31).wrapping_add(at).wrapping_mul(7) & 0xff) as u8
}

/// The message of a URB, of `length` bytes.
pub(crate) fn make(number: usize, length: usize) -> Vec<u8> {
    let mut out: Vec<u8> = (0..length).map(|at| byte(number, at)).collect();
    for (to, from) in out.iter_mut().zip((number as u32).to_le_bytes()) {
        *to = from;
    }
    out
}

/// Whose message it is; None if it is damaged.
pub(crate) fn read(message: &[u8]) -> Option<usize> {
    let number = u32::from_le_bytes(*message.first_chunk::<HEADER>()?) as usize;
    (make(number, message.len()) == message).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_byte_is_seen() {
        let message = make(77_000, 600);
        assert_eq!(read(&message), Some(77_000));
        for at in 0..message.len() {
            let mut wrong = message.clone();
            wrong[at] ^= 1;
            assert_ne!(read(&wrong), Some(77_000), "byte {at}");
        }
        assert_eq!(read(&[1, 2, 3]), None);
    }
}
