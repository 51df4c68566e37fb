//! What the editor has sent. A thread of its own reads it, so that a run notices that somebody wants it to pause.

use std::collections::VecDeque;
use std::io::stdin;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::protocol::{self, Request};

/// Messages that are read ahead, at most.
const AHEAD_MAX: usize = 64;

/// What came.
pub enum Incoming {
    Request(Request),
    /// A message, but no request.
    NoRequest(String),
    /// No message; nothing more can be read.
    Garbage(String),
    /// There is no more.
    End,
}

/// Messages in the order in which they came.
pub struct Inbox {
    receiver: Receiver<Incoming>,
    ahead: VecDeque<Incoming>,
}

impl Inbox {
    /// What comes on standard input.
    pub fn of_stdin() -> Inbox {
        let (sender, receiver) = sync_channel(AHEAD_MAX);
        thread::spawn(move || {
            let mut input = stdin().lock();
            loop {
                let came = match protocol::read(&mut input) {
                    Ok(Some(body)) => {
                        Request::parse(&body).map_or_else(Incoming::NoRequest, Incoming::Request)
                    }
                    Ok(None) => Incoming::End,
                    Err(why) => Incoming::Garbage(why),
                };
                let is_last = matches!(came, Incoming::End | Incoming::Garbage(_));
                if sender.send(came).is_err() || is_last {
                    return;
                }
            }
        });
        Inbox { receiver, ahead: VecDeque::new() }
    }

    /// Waits for the next one.
    pub fn next(&mut self) -> Incoming {
        let came = self.ahead.pop_front();
        came.unwrap_or_else(|| self.receiver.recv().unwrap_or(Incoming::End))
    }

    /// Does anything that has come want what is under way to stop?
    pub fn wants_attention(&mut self) -> bool {
        while self.ahead.len() < AHEAD_MAX
            && let Ok(came) = self.receiver.try_recv()
        {
            self.ahead.push_back(came);
        }
        self.ahead.iter().any(|came| match came {
            Incoming::Request(request) => {
                ["pause", "disconnect", "terminate"].contains(&request.command.as_str())
            }
            Incoming::End | Incoming::Garbage(_) => true,
            Incoming::NoRequest(_) => false,
        })
    }
}
