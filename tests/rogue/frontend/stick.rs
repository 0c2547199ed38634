// SPDX-License-Identifier: GPL-2.0

//! A memory stick's blocks: the bulk-only transport and three SCSI commands.

use super::connection::Connection;
use super::device::Device;
use crate::Result;

const BLOCK: usize = 512;
/// Blocks of one comparison: 32 KiB, in both directions.
const BLOCKS: u8 = 64;

const TEST_UNIT_READY: u8 = 0x00;
const READ: u8 = 0x28;
const WRITE: u8 = 0x2a;

/// A memory stick.
pub(crate) struct Stick<'a> {
    device: &'a mut Device,
    input: u8,
    output: u8,
    tag: u32,
}

impl<'a> Stick<'a> {
    pub(crate) fn new(device: &'a mut Device) -> Result<Self> {
        let bulk = |input: bool| {
            let found = device
                .endpoints
                .iter()
                .find(|end| end.kind == 2 && (end.address & 0x80 != 0) == input);
            found.map(|end| end.address).ok_or("not a memory stick")
        };
        let (input, output) = (bulk(true)?, bulk(false)?);
        Ok(Self {
            device,
            input,
            output,
            tag: 0,
        })
    }

    /// Waits until the stick has told of its reset ("unit attention").
    fn ready(&mut self, connection: &mut Connection) -> Result<()> {
        for _ in 0..5 {
            let (_, status) =
                self.command(connection, &[TEST_UNIT_READY, 0, 0, 0, 0, 0], 0, &[])?;
            if status == 0 {
                return Ok(());
            }
            // REQUEST SENSE takes what it has to say.
            self.command(connection, &[0x03, 0, 0, 0, 18, 0], 18, &[])?;
        }
        Err("the stick is not ready".into())
    }

    /// Writes random blocks somewhere and reads them back.
    pub(crate) fn check(
        &mut self,
        connection: &mut Connection,
        random: &mut fastrand::Rng,
    ) -> Result<()> {
        self.ready(connection)?;
        let data: Vec<u8> = (0..BLOCK * usize::from(BLOCKS))
            .map(|_| random.u8(..))
            .collect();
        let [a, b] = random.u16(0..4096).to_be_bytes();
        let (_, status) = self.command(
            connection,
            &[WRITE, 0, 0, 0, a, b, 0, 0, BLOCKS, 0],
            0,
            &data,
        )?;
        let (got, status_in) = self.command(
            connection,
            &[READ, 0, 0, 0, a, b, 0, 0, BLOCKS, 0],
            data.len(),
            &[],
        )?;
        if status != 0 || status_in != 0 || got != data {
            return Err(format!(
                "the stick does not hold what was written ({status}, {status_in})"
            )
            .into());
        }
        Ok(())
    }

    /// One command with incoming (`length`) or outgoing (`data`) bytes; returns
    /// the incoming ones and the status.
    fn command(
        &mut self,
        connection: &mut Connection,
        command: &[u8],
        length: usize,
        data: &[u8],
    ) -> Result<(Vec<u8>, u8)> {
        self.tag += 1;
        let total = u32::try_from(length.max(data.len()))?;
        let mut wrapper = b"USBC".to_vec();
        wrapper.extend(self.tag.to_le_bytes());
        wrapper.extend(total.to_le_bytes());
        wrapper.extend([
            if length > 0 { 0x80 } else { 0 },
            0,
            u8::try_from(command.len())?,
        ]);
        wrapper.extend(command);
        wrapper.resize(31, 0);
        self.device
            .bulk(connection, self.output, wrapper.len(), &wrapper)?;
        let got = match (length, data) {
            (0, []) => Vec::new(),
            (0, data) => self
                .device
                .bulk(connection, self.output, data.len(), data)?,
            (length, _) => self.device.bulk(connection, self.input, length, &[])?,
        };
        let status = self.device.bulk(connection, self.input, 13, &[])?;
        match status.as_slice() {
            [b'U', b'S', b'B', b'S', t0, t1, t2, t3, .., status]
                if status_tag(*t0, *t1, *t2, *t3) == self.tag =>
            {
                Ok((got, *status))
            }
            _ => Err(format!("the stick's status is {status:02x?}").into()),
        }
    }
}

fn status_tag(a: u8, b: u8, c: u8, d: u8) -> u32 {
    u32::from_le_bytes([a, b, c, d])
}
