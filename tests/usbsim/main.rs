// SPDX-License-Identifier: GPL-2.0

//! The `usbsim` command: plugs simulated devices into this machine.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use usbsim::devices::{self, Options};
use usbsim::session::{self, Session};
use usbsim::{attach, remote};

const USAGE: &str = "\
Usage: usbsim plug PORT DEVICE [NAME=VALUE...]   plug a device into a port of vhci_hcd
       usbsim unplug PORT                        pull it out
       usbsim tell PORT WORD...                  give it a command, print its answer
       usbsim devices                            what there is, with options and commands
       usbsim corpus                             names of rogue devices, one a line
PORT is 1 to 15. Every device takes scale=N, which makes its bus N times slower
than a real one, patient=1, with which isochronous streams wait for a host that
is late instead of losing data, and the command stats.
";

/// The word by which the server's process tells that the device is plugged.
const PLUGGED: &str = "plugged";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["plug", port, device, options @ ..] => {
            number(port).and_then(|port| plug(port, device, options))
        }
        ["serve", port, device, options @ ..] => {
            number(port).and_then(|port| serve(port, device, options))
        }
        ["unplug", port] => number(port)
            .and_then(remote::unplug)
            .map(|()| String::new()),
        ["tell", port, command @ ..] => {
            number(port).and_then(|port| remote::tell(port, &command.join(" ")))
        }
        ["devices"] => Ok(devices::USAGE.to_owned()),
        ["corpus"] => Ok(devices::rogue::names().collect::<Vec<_>>().join(
            "
",
        ) + "
"),
        ["--help" | "-h"] => Ok(USAGE.to_owned()),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("usbsim: {text}");
            ExitCode::FAILURE
        }
    }
}

fn number(word: &str) -> Result<u8, String> {
    word.parse().map_err(|_| format!("{word} is no port"))
}

fn text(error: io::Error) -> String {
    error.to_string()
}

/// Starts the device's own process and waits until it is plugged.
fn plug(port: u8, device: &str, options: &[&str]) -> Result<String, String> {
    fs::create_dir_all(remote::DIRECTORY).map_err(text)?;
    let log = remote::log(port);
    let mut child = Command::new(env::current_exe().map_err(text)?)
        .arg("serve")
        .arg(port.to_string())
        .arg(device)
        .args(options)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).map_err(text)?)
        .spawn()
        .map_err(text)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(text)?;
    }
    if line.trim_end() == PLUGGED {
        return Ok(String::new());
    }
    // Whatever the end, the reason is in its log.
    let _ = child.wait();
    Err(fs::read_to_string(log)
        .map_err(text)?
        .trim_end()
        .trim_start_matches("usbsim: ")
        .to_owned())
}

fn serve(port: u8, device: &str, options: &[&str]) -> Result<String, String> {
    let mut options = Options::parse(options)?;
    let scale = options.number("scale", 1)?;
    let patient = options.number("patient", 0u8)? != 0;
    let device = devices::make(device, &mut options)?;
    options.finish()?;
    let (sender, events) = Session::events();
    let stream = attach::attach(port, device.speed()).map_err(text)?;
    session::listen(&stream, sender.clone()).map_err(text)?;
    remote::listen(port, sender).map_err(text)?;
    println!("{PLUGGED}");
    let ended = Session::new(device, stream, scale, patient)
        .run(&events)
        .map_err(text);
    // The name is free for the next device; that it is there no more is fine.
    let _ = fs::remove_file(remote::socket(port));
    ended.map(|()| String::new())
}
