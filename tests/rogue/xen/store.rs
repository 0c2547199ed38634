// SPDX-License-Identifier: GPL-2.0

//! XenStore through `/dev/xen/xenbus`, one request at a time
//! (include/xen/interface/io/xs_wire.h).

use super::DomId;
use crate::Result;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};

const READ: u32 = 2;
const WRITE: u32 = 11;
const REMOVE: u32 = 13;
const SET_PERMS: u32 = 14;
const ERROR: u32 = 16;

/// A connection to XenStore. Paths are relative to this domain's own directory.
pub(crate) struct Store(File);

impl Store {
    pub(crate) fn open() -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/xen/xenbus")?;
        Ok(Self(file))
    }

    /// A node's value; None if there is no such node.
    pub(crate) fn read(&self, path: &str) -> Result<Option<String>> {
        match self.request(READ, &[path.as_bytes(), b"\0"].concat()) {
            Ok(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a node.
    pub(crate) fn write(&self, path: &str, value: impl Display) -> Result<()> {
        Ok(self.write_bytes(path, value.to_string().as_bytes())?)
    }

    /// Writes any bytes, which XenStore or the driver may refuse.
    pub(crate) fn write_bytes(&self, path: &str, value: &[u8]) -> io::Result<()> {
        self.request(WRITE, &[path.as_bytes(), b"\0", value].concat())?;
        Ok(())
    }

    /// Removes a node and all below; no error if there is none.
    pub(crate) fn remove(&self, path: &str) -> Result<()> {
        match self.request(REMOVE, &[path.as_bytes(), b"\0"].concat()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Gives a node to a domain, and lets another one read it. What is made below
    /// it later is theirs too.
    pub(crate) fn give(&self, path: &str, owner: DomId, reader: DomId) -> Result<()> {
        let body = format!("{path}\0n{owner}\0r{reader}\0");
        self.request(SET_PERMS, body.as_bytes())?;
        Ok(())
    }

    fn request(&self, kind: u32, body: &[u8]) -> io::Result<Vec<u8>> {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let header = [kind, 0, 0, length].map(u32::to_ne_bytes).concat();
        // In one piece: the driver forgets a message that it refuses.
        (&self.0).write_all(&[&header, body].concat())?;
        let mut words = [0; 16];
        (&self.0).read_exact(&mut words)?;
        let word = |at: usize| {
            u32::from_ne_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]])
        };
        let mut answer = vec![0; word(12) as usize];
        (&self.0).read_exact(&mut answer)?;
        if word(0) != ERROR {
            return Ok(answer);
        }
        let name = String::from_utf8_lossy(&answer)
            .trim_end_matches('\0')
            .to_owned();
        Err(match name.as_str() {
            "ENOENT" => io::ErrorKind::NotFound.into(),
            _ => io::Error::other(name),
        })
    }
}
