// SPDX-License-Identifier: GPL-2.0

//! Pictures that tell which they are: number, length and checksum come first,
//! so that a test sees what is lost, repeated, out of order, torn or mixed up.
//!
//! The description is 16 bytes: `USIM`, then little-endian words: number of the
//! picture, bytes of the whole, CRC-32 of all that follows the description. In
//! YUY2 it takes the place of the first eight pixels; in JPEG it is a comment
//! segment right after the start marker.

use jpeg_encoder::{ColorType, Encoder, EncodingError};

/// Pixels in a row.
pub const WIDTH: u16 = 160;
/// Rows.
pub const HEIGHT: u16 = 120;
/// Bytes of a YUY2 picture.
pub const YUY2: u32 = WIDTH as u32 * HEIGHT as u32 * 2;
/// No JPEG picture is larger than this.
pub const JPEG: u32 = 16 << 10;

const MAGIC: &[u8; 4] = b"USIM";
/// Start of image; comment segment of 2 + 16 bytes.
const JPEG_START: [u8; 6] = [0xff, 0xd8, 0xff, 0xfe, 0, 18];

/// Brightness of a pixel: a slope that moves from picture to picture.
fn brightness(number: u32, x: u16, y: u16) -> u8 {
    (u32::from(x) + 2 * u32::from(y) + 3 * number) as u8
}

fn pixels(number: u32) -> impl Iterator<Item = u8> {
    (0..HEIGHT).flat_map(move |y| (0..WIDTH).map(move |x| brightness(number, x, y)))
}

fn describe(start: &[u8], number: u32, rest: &[u8]) -> Vec<u8> {
    let whole = start.len() + 16 + rest.len();
    let mut out = Vec::with_capacity(whole);
    out.extend(start);
    out.extend(MAGIC);
    for word in [number, whole as u32, crc32fast::hash(rest)] {
        out.extend(word.to_le_bytes());
    }
    out.extend(rest);
    out
}

/// A picture in YUY2: brightness and, by turns, two colours.
#[must_use]
pub fn yuy2(number: u32) -> Vec<u8> {
    let colour = |at: usize| number.wrapping_mul(if at % 2 == 0 { 5 } else { 7 }) as u8;
    let all: Vec<u8> = pixels(number)
        .enumerate()
        .flat_map(|(at, y)| [y, colour(at)])
        .collect();
    describe(&[], number, &all[16..])
}

/// A picture as a grey JPEG; the quality, and so the length, changes with the number.
///
/// # Errors
/// What the encoder says.
pub fn jpeg(number: u32) -> Result<Vec<u8>, EncodingError> {
    let grey: Vec<u8> = pixels(number).collect();
    let mut plain = Vec::new();
    let quality = 20 + (number % 8) as u8 * 10;
    Encoder::new(&mut plain, quality).encode(&grey, WIDTH, HEIGHT, ColorType::Luma)?;
    Ok(describe(&JPEG_START, number, &plain[2..]))
}
