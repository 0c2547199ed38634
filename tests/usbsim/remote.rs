// SPDX-License-Identifier: GPL-2.0

//! A device that is plugged takes commands on a socket named after its port:
//! one line in, the answer out, its first word `ok` or `error`.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{channel, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::session::Event;

/// The command that pulls a device out.
pub const UNPLUG: &str = "unplug";
/// Where the sockets and the devices' own messages are.
pub const DIRECTORY: &str = "/run/usbsim";

/// The socket of the device in a port.
#[must_use]
pub fn socket(port: u8) -> PathBuf {
    PathBuf::from(format!("{DIRECTORY}/{port}"))
}

/// Where the device in a port writes why it has ended.
#[must_use]
pub fn log(port: u8) -> PathBuf {
    PathBuf::from(format!("{DIRECTORY}/{port}.log"))
}

/// Hands commands for the device in a port to its session.
///
/// # Errors
/// If the socket cannot be made.
pub fn listen(port: u8, events: Sender<Event>) -> io::Result<()> {
    let path = socket(port);
    // One left behind by a device that was killed; the kernel's port is free, as attach has shown.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let listener = UnixListener::bind(path)?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that goes away in the middle is its own business.
            let _ = serve(client, &events);
        }
    });
    Ok(())
}

fn serve(mut client: UnixStream, events: &Sender<Event>) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(client.try_clone()?).read_line(&mut line)?;
    let (sender, answers) = channel();
    let asked = events.send(Event::Asked(line, sender));
    let answer = match (asked, answers.recv()) {
        (Ok(()), Ok(answer)) => answer,
        _ => Err("the device has gone".to_owned()),
    };
    match answer {
        Ok(text) => write!(client, "ok {text}"),
        Err(text) => write!(client, "error {text}"),
    }
}

fn ask(port: u8, command: &str) -> Result<String, String> {
    let ask = || -> io::Result<String> {
        let mut stream = UnixStream::connect(socket(port))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().map_err(|error| format!("port {port}: {error}"))
}

/// Pulls out the device in a port; returns when its name is free again.
///
/// # Errors
/// If there is no device, or it stays.
pub fn unplug(port: u8) -> Result<(), String> {
    // The process may end before its answer is written.
    ask(port, UNPLUG)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while socket(port).exists() {
        if Instant::now() > deadline {
            return Err(format!("port {port}: the device stays"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Gives a command to the device in a port and returns its answer.
///
/// # Errors
/// If there is no device, or it refuses.
pub fn tell(port: u8, command: &str) -> Result<String, String> {
    let answer = ask(port, command)?;
    match answer.split_once(' ') {
        Some(("ok", text)) => Ok(text.to_owned()),
        Some(("error", text)) => Err(text.to_owned()),
        _ => Err("the device has gone".to_owned()),
    }
}
