// SPDX-License-Identifier: GPL-2.0

//! A good storm, and each thing that can go wrong in one.

use crate::ledger::{Ledger, Task, Totals};
use crate::message;
use crate::usbfs::Back;

const DESCRIPTOR: [u8; 18] = [18; 18];
const WRITE: Task = Task::Write { pair: 0, length: 9 };
const READ: Task = Task::Read {
    pair: 0,
    room: 16,
    short_not_ok: false,
};
const STRICT: Task = Task::Read {
    pair: 0,
    room: 16,
    short_not_ok: true,
};

fn back(number: usize, status: i32, data: &[u8]) -> Back {
    Back {
        number,
        status,
        actual: data.len(),
        data: data.to_vec(),
    }
}

/// A ledger with these tasks as URBs 0, 1, ...; and what has come back.
fn after(tasks: &[Task], asked: &[usize], backs: &[Back]) -> Result<Totals, String> {
    let mut ledger = Ledger::new(DESCRIPTOR);
    for &task in tasks {
        ledger.submits(task);
    }
    for &number in asked {
        ledger.takes_back(number);
    }
    for back in backs {
        ledger.comes_back(back).map_err(|error| error.to_string())?;
    }
    ledger.close().map_err(|error| error.to_string())
}

#[track_caller]
fn found(tasks: &[Task], asked: &[usize], backs: &[Back], what: &str) {
    let error = after(tasks, asked, backs).err();
    assert!(
        error.as_ref().is_some_and(|error| error.contains(what)),
        "{error:?} should tell: {what}"
    );
}

#[test]
fn what_may_happen() {
    let message = message::make(0, 9);
    let tasks = [WRITE, READ, READ, STRICT, WRITE, Task::Descriptor];
    let backs = [
        back(0, -2, &message),
        back(1, -2, &[]),
        back(2, 0, &message),
        back(4, 0, &message::make(4, 9)),
        back(3, -121, &message::make(4, 9)),
        back(5, 0, &DESCRIPTOR),
    ];
    let totals = Totals {
        urbs: 6,
        completed: 4,
        short: 1,
        cancelled: 2,
        late: 1,
        bytes_in: 36,
        bytes_out: 18,
        most: 6,
    };
    assert_eq!(after(&tasks, &[0, 1], &backs), Ok(totals));
}

#[test]
fn a_urb_that_is_lost_or_comes_twice() {
    found(&[READ], &[0], &[], "never came back: 0");
    let twice = [back(0, -2, &[]), back(0, -2, &[])];
    found(&[READ, READ], &[0], &twice, "a second time");
    found(&[READ], &[0], &[back(7, -2, &[])], "never submitted");
}

#[test]
fn a_status_that_nobody_has_asked_for() {
    found(&[READ], &[], &[back(0, -2, &[])], "nothing explains");
    found(&[READ], &[0], &[back(0, -108, &[])], "nothing explains");
    let message = message::make(0, 9);
    let backs = [back(0, 0, &message), back(1, 0, &message)];
    found(&[WRITE, STRICT], &[], &backs, "nothing explains");
    let backs = [back(0, 0, &message), back(1, -121, &message)];
    found(&[WRITE, READ], &[], &backs, "nothing explains");
}

#[test]
fn data_that_is_not_what_was_written() {
    let message = message::make(0, 9);
    let done = back(0, 0, &message);
    let mut wrong = message.clone();
    wrong[5] ^= 0x10;
    found(&[WRITE, READ], &[], &[back(1, 0, &wrong)], "damaged");
    found(&[WRITE, READ], &[], &[back(1, 0, &[])], "damaged");
    let cut = message::make(0, 8);
    found(&[WRITE, READ], &[], &[back(1, 0, &cut)], "not the message");
    let other = Task::Read {
        pair: 1,
        room: 16,
        short_not_ok: false,
    };
    found(
        &[WRITE, other],
        &[],
        &[back(1, 0, &message)],
        "not the message",
    );
    found(&[WRITE], &[], &[done], "write 0 was lost");
    found(&[WRITE], &[0], &[back(0, -2, &message[..4])], "a part");
    found(&[WRITE], &[], &[back(0, 0, &[])], "a part");
    found(&[Task::Descriptor], &[], &[back(0, 0, &[18])], "descriptor");
}

#[test]
fn messages_that_come_twice_late_or_against_what_was_said() {
    let (first, second) = (message::make(0, 9), message::make(1, 9));
    let tasks = [WRITE, WRITE, READ, READ];
    let twice = [back(2, 0, &first), back(3, 0, &first)];
    found(&tasks, &[], &twice, "write 0 a second time");
    let swapped = [back(2, 0, &second), back(3, 0, &first)];
    found(&tasks, &[], &swapped, "after a later one");
    let denied = [back(0, -2, &[]), back(1, 0, &first)];
    found(&[WRITE, READ], &[0], &denied, "says it was not");
}
