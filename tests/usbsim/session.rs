// SPDX-License-Identifier: GPL-2.0

//! Serves one device: the queues of its endpoints, in order, many transfers at once.
//!
//! One thread owns the device. Others only read, from the kernel and from
//! whoever gives commands, and send it events. Between events it sleeps until
//! the next isochronous transfer is over.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::{Clock, Slots, Stream};
use crate::counters::Counters;
use crate::descriptor::Endpoint;
use crate::device::{selects, Answer, Device, Speed};
use crate::protocol::{Command, Done, Reply, Status, Submit};
use crate::remote::UNPLUG;

/// What the session's thread is told.
#[derive(Debug)]
pub enum Event {
    /// From the kernel.
    Command(Command),
    /// The kernel has closed the connection, or sent garbage.
    Closed(Option<io::Error>),
    /// A command from outside, and where the answer goes.
    Asked(String, Sender<Result<String, String>>),
}

struct Pending {
    submit: Submit,
    slots: Slots,
    /// Isochronous packets whose slot is over.
    passed: u32,
    data: Vec<u8>,
}

#[derive(Default)]
struct Queue {
    pending: VecDeque<Pending>,
    stream: Option<Stream>,
    counters: Counters,
}

/// Whether a device is still plugged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plugged {
    Yes,
    No,
}

/// A plugged device.
pub struct Session {
    device: Box<dyn Device>,
    clock: Clock,
    patient: bool,
    stream: UnixStream,
    /// By endpoint address; 0 is the control endpoint, whichever the direction.
    queues: BTreeMap<u8, Queue>,
    /// The newest transfer's number.
    newest: u32,
    /// Unlinks that overtook their transfer: its number, then theirs.
    early: BTreeMap<u32, u32>,
}

/// Reads the kernel's messages in a thread of its own and hands them on.
///
/// # Errors
/// If the stream cannot be shared between two threads.
pub fn listen(stream: &UnixStream, events: Sender<Event>) -> io::Result<()> {
    let mut stream = io::BufReader::with_capacity(1 << 16, stream.try_clone()?);
    thread::spawn(move || loop {
        let event = match Command::read(&mut stream) {
            Ok(Some(command)) => Event::Command(command),
            Ok(None) => Event::Closed(None),
            Err(error) => Event::Closed(Some(error)),
        };
        let last = matches!(event, Event::Closed(_));
        if events.send(event).is_err() || last {
            break;
        }
    });
    Ok(())
}

impl Session {
    /// A session on the device's end of a connection. Its bus is `scale` times
    /// slower than a real one, and waits for a late host if it is patient.
    #[must_use]
    pub fn new(device: Box<dyn Device>, stream: UnixStream, scale: u32, patient: bool) -> Self {
        let clock = Clock::new(scale);
        Session {
            device,
            clock,
            patient,
            stream,
            queues: BTreeMap::new(),
            newest: 0,
            early: BTreeMap::new(),
        }
    }

    /// A channel for [`Session::run`].
    #[must_use]
    pub fn events() -> (Sender<Event>, Receiver<Event>) {
        channel()
    }

    /// Serves the device until it is pulled out.
    ///
    /// # Errors
    /// If the kernel sends what it should not, or no longer listens.
    pub fn run(mut self, events: &Receiver<Event>) -> io::Result<()> {
        let ended = self.serve_events(events);
        // The reading thread has the same socket; closing ours would not tell the kernel.
        // An error means that the kernel has closed it.
        let _ = self.stream.shutdown(Shutdown::Both);
        ended
    }

    fn serve_events(&mut self, events: &Receiver<Event>) -> io::Result<()> {
        loop {
            let event = match self.next_end() {
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(end) => {
                    let left = self
                        .clock
                        .moment(end)
                        .saturating_duration_since(Instant::now());
                    events.recv_timeout(left + Duration::from_micros(1))
                }
            };
            self.pass_time()?;
            let plugged = match event {
                Ok(Event::Command(Command::Submit(submit))) => self.submit(submit)?,
                Ok(Event::Command(Command::Unlink { seqnum, victim })) => {
                    self.unlink(seqnum, victim)?
                }
                Ok(Event::Asked(text, answer)) => self.command(&text, &answer)?,
                Ok(Event::Closed(None)) | Err(RecvTimeoutError::Disconnected) => Plugged::No,
                Ok(Event::Closed(Some(error))) => return Err(error),
                Err(RecvTimeoutError::Timeout) => Plugged::Yes,
            };
            if plugged == Plugged::No {
                return Ok(());
            }
        }
    }

    fn now(&self) -> u64 {
        self.clock.at(Instant::now())
    }

    /// When the first of the isochronous transfers at the heads is over.
    fn next_end(&self) -> Option<u64> {
        let heads = self
            .queues
            .values()
            .filter_map(|queue| queue.pending.front());
        heads
            .filter(|head| isochronous(head))
            .map(|head| head.slots.end(packets(head) - 1))
            .min()
    }

    fn submit(&mut self, submit: Submit) -> io::Result<Plugged> {
        self.newest = submit.seqnum;
        if let Some(seqnum) = self.early.remove(&submit.seqnum) {
            return self.answer_unlink(seqnum, Status::Unlinked);
        }
        let key = if submit.number == 0 {
            0
        } else {
            submit.endpoint()
        };
        let now = self.now();
        let endpoint = self.device.chapter9().endpoint(key);
        let queue = self.queues.entry(key).or_default();
        let mut pending = Pending {
            submit,
            slots: NO_SLOTS,
            passed: 0,
            data: Vec::new(),
        };
        if isochronous(&pending) {
            let Some(endpoint) = endpoint.filter(Endpoint::isochronous) else {
                return self
                    .answer(key, pending, Status::Stall, 0)
                    .map(|()| Plugged::Yes);
            };
            let period = endpoint.period(self.device.speed());
            let stream = queue
                .stream
                .get_or_insert_with(|| Stream::new(period, self.patient));
            pending.slots = stream.schedule(now, packets(&pending), pending.submit.asap);
            queue.counters.missed += pending.slots.missed;
            queue.counters.waited += pending.slots.waited;
            if pending.submit.input {
                // What nobody asked for in time is gone.
                for _ in 0..pending.slots.missed {
                    self.device.send_packet(endpoint, endpoint.payload());
                }
            }
        }
        queue.pending.push_back(pending);
        queue.counters.deepest = queue.counters.deepest.max(queue.pending.len());
        match self.serve(key)? {
            Plugged::Yes => self.serve_all(),
            Plugged::No => Ok(Plugged::No),
        }
    }

    /// Takes a transfer back, if it has not been answered.
    ///
    /// vhci_tx_loop() sends what is to be submitted and then what is to be
    /// unlinked, so that an unlink overtakes a transfer queued between the two.
    /// An answer would then be followed by one to a transfer that is no more,
    /// and the kernel would drop the device.
    fn unlink(&mut self, seqnum: u32, victim: u32) -> io::Result<Plugged> {
        if victim.wrapping_sub(self.newest) as i32 > 0 {
            self.early.insert(victim, seqnum);
            return Ok(Plugged::Yes);
        }
        let mut status = Status::Done;
        for queue in self.queues.values_mut() {
            let Some(at) = queue
                .pending
                .iter()
                .position(|pending| pending.submit.seqnum == victim)
            else {
                continue;
            };
            queue.pending.remove(at);
            queue.counters.unlinked += 1;
            if let (true, Some(stream)) = (queue.pending.is_empty(), &mut queue.stream) {
                stream.stop();
            }
            status = Status::Unlinked;
        }
        self.answer_unlink(seqnum, status)
    }

    fn answer_unlink(&mut self, seqnum: u32, status: Status) -> io::Result<Plugged> {
        self.stream
            .write_all(&Reply::Unlink { seqnum, status }.encode())?;
        Ok(Plugged::Yes)
    }

    fn command(
        &mut self,
        text: &str,
        answer: &Sender<Result<String, String>>,
    ) -> io::Result<Plugged> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let said = match words.as_slice() {
            [UNPLUG] => Ok(String::new()),
            ["stats"] => Ok(self.stats()),
            words => self.device.command(words),
        };
        // Whoever asked may have gone; that changes nothing.
        let _ = answer.send(said);
        if words == [UNPLUG] {
            return Ok(Plugged::No);
        }
        self.serve_all()
    }

    fn stats(&self) -> String {
        let lines = self
            .queues
            .iter()
            .map(|(key, queue)| format!("ep={key:02x} {}\n", queue.counters));
        lines.collect()
    }

    /// Something has happened to the device: what waits on any endpoint is
    /// asked for again, as long as that makes something else happen.
    fn serve_all(&mut self) -> io::Result<Plugged> {
        let keys: Vec<u8> = self.queues.keys().copied().collect();
        loop {
            let before = self.waiting();
            for &key in &keys {
                if self.serve(key)? == Plugged::No {
                    return Ok(Plugged::No);
                }
            }
            if self.waiting() == before {
                return Ok(Plugged::Yes);
            }
        }
    }

    /// Transfers that have not been answered.
    fn waiting(&self) -> usize {
        let queues = self.queues.values();
        queues.map(|queue| queue.pending.len()).sum()
    }

    /// Lets the device handle what is queued for an endpoint without a clock.
    fn serve(&mut self, key: u8) -> io::Result<Plugged> {
        while let Some(head) = self
            .queues
            .get(&key)
            .and_then(|queue| queue.pending.front())
        {
            if isochronous(head) {
                break;
            }
            let submit = &head.submit;
            let room = submit.length as usize;
            let answer = match (key, self.device.chapter9().endpoint(key)) {
                (0, _) => self.device.control(&submit.setup, &submit.data),
                (_, None) => Answer::Broken,
                _ if self.device.chapter9().halted(key) => Answer::Stall,
                (_, Some(endpoint)) if submit.input => self.device.send(endpoint, room),
                (_, Some(endpoint)) => self.device.take(endpoint, &submit.data),
            };
            let (status, data) = match answer {
                Answer::Later => break,
                Answer::Vanish => return Ok(Plugged::No),
                // A control transfer ends at wLength; elsewhere too much is babble.
                Answer::Send(mut data) => {
                    let status = if key != 0 && data.len() > room {
                        Status::Babble
                    } else {
                        Status::Done
                    };
                    data.truncate(room);
                    (status, data)
                }
                Answer::Taken => (Status::Done, Vec::new()),
                Answer::Stall => (Status::Stall, Vec::new()),
                Answer::Broken => (Status::Protocol, Vec::new()),
                Answer::Babble => (Status::Babble, Vec::new()),
            };
            let selects = key == 0 && status == Status::Done && selects(&submit.setup);
            self.finish_head(key, status, data)?;
            if selects {
                self.restart_streams();
            }
        }
        Ok(Plugged::Yes)
    }

    fn finish_head(&mut self, key: u8, status: Status, data: Vec<u8>) -> io::Result<()> {
        let Some(mut head) = self
            .queues
            .get_mut(&key)
            .and_then(|queue| queue.pending.pop_front())
        else {
            return Ok(());
        };
        let taken = if status == Status::Done {
            head.submit.data.len()
        } else {
            0
        };
        let actual = if head.submit.input { data.len() } else { taken };
        head.data = data;
        self.answer(key, head, status, actual as u32)
    }

    /// A new setting has other endpoints; what is queued still has its slots.
    fn restart_streams(&mut self) {
        for queue in self
            .queues
            .values_mut()
            .filter(|queue| queue.pending.is_empty())
        {
            queue.stream = None;
        }
    }

    /// Handles every isochronous packet whose slot is over.
    fn pass_time(&mut self) -> io::Result<()> {
        let now = self.now();
        let keys: Vec<u8> = self.queues.keys().copied().collect();
        for key in keys {
            let endpoint = self.device.chapter9().endpoint(key);
            while let Some(head) = self
                .queues
                .get_mut(&key)
                .and_then(|queue| queue.pending.front_mut())
            {
                if !isochronous(head) {
                    break;
                }
                while head.passed < packets(head) && head.slots.end(head.passed) <= now {
                    pass_packet(self.device.as_mut(), endpoint, head);
                }
                if head.passed < packets(head) {
                    break;
                }
                self.finish_stream_head(key)?;
            }
        }
        Ok(())
    }

    fn finish_stream_head(&mut self, key: u8) -> io::Result<()> {
        let Some(queue) = self.queues.get_mut(&key) else {
            return Ok(());
        };
        let Some(head) = queue.pending.pop_front() else {
            return Ok(());
        };
        queue.counters.packets += u64::from(packets(&head) - head.slots.late);
        queue.counters.late += u64::from(head.slots.late);
        let actual = head.submit.packets.iter().map(|packet| packet.actual).sum();
        self.answer(key, head, Status::Done, actual)
    }

    fn answer(&mut self, key: u8, pending: Pending, status: Status, actual: u32) -> io::Result<()> {
        let queue = self.queues.entry(key).or_default();
        queue.counters.urbs += 1;
        queue.counters.bytes += u64::from(actual);
        let unit = if self.device.speed() == Speed::High {
            1
        } else {
            crate::clock::MICROFRAMES
        };
        let done = Done {
            status,
            actual,
            data: pending.data,
            start_frame: (pending.slots.first / unit) as u32,
            packets: pending.submit.packets,
        };
        self.stream.write_all(
            &Reply::Submit {
                seqnum: pending.submit.seqnum,
                done,
            }
            .encode(),
        )
    }
}

const NO_SLOTS: Slots = Slots {
    first: 0,
    period: 1,
    missed: 0,
    late: 0,
    waited: 0,
};

fn isochronous(pending: &Pending) -> bool {
    !pending.submit.packets.is_empty()
}

fn packets(pending: &Pending) -> u32 {
    pending.submit.packets.len() as u32
}

/// One packet's slot: data moves, or was due before anybody asked.
fn pass_packet(device: &mut dyn Device, endpoint: Option<Endpoint>, head: &mut Pending) {
    let number = head.passed;
    let late = number < head.slots.late;
    let input = head.submit.input;
    let packet = &mut head.submit.packets[number as usize];
    head.passed += 1;
    let Some(endpoint) = endpoint else {
        // The setting that had this endpoint is no longer selected.
        packet.actual = 0;
        packet.status = Status::Protocol as i32;
        return;
    };
    packet.status = if late {
        Status::Late as i32
    } else {
        Status::Done as i32
    };
    packet.actual = 0;
    let room = packet.length as usize;
    if input {
        let mut data = device.send_packet(endpoint, endpoint.payload());
        if late {
            return;
        }
        if data.len() > room {
            data.truncate(room);
            packet.status = Status::Babble as i32;
        }
        packet.actual = data.len() as u32;
        head.data.extend(data);
    } else if !late {
        let at = packet.offset as usize;
        device.take_packet(endpoint, &head.submit.data[at..at + room]);
        packet.actual = packet.length;
    }
}
