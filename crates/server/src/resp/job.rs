//! A command under way.

use std::collections::VecDeque;
use std::pin::Pin;

use gateway::{Reply, Request};
use tokio::sync::oneshot;

use super::command::Command;
use super::reply::{Value, failed};
use crate::budget::Held;
use crate::core::Handle;
use crate::flow;

/// Most requests of one command under way at a time.
const COMMAND_MAX: usize = 256;

/// One request under way, with the room that it and its reply take.
pub(super) enum Pending {
    Ready(Value),
    Waiting(Job, Option<Held>),
    /// Begins when everything before it is answered.
    Later(Pin<Box<dyn Future<Output = Value>>>, Option<Held>),
}

/// A command and the requests that it consists of.
pub(super) struct Job {
    command: Command,
    /// Those that are not sent yet.
    left: VecDeque<Request>,
    sent: VecDeque<oneshot::Receiver<Reply>>,
}

impl Job {
    pub(super) fn begin(core: &Handle, command: Command) -> Job {
        let mut job = Job { left: command.requests(), sent: VecDeque::new(), command };
        (0..COMMAND_MAX).for_each(|_| job.send_next(core));
        job
    }

    fn send_next(&mut self, core: &Handle) {
        if let Some(request) = self.left.pop_front() {
            self.sent.push_back(core.borrow_mut().submit(request));
        }
    }

    /// Waits for all answers. What was not sent when one failed is never sent: there is no use in learning ten thousand
    /// times, ten seconds each, that a shard has no primary.
    pub(super) async fn finish(mut self, core: &Handle) -> (Value, Option<Held>) {
        let mut replies = Vec::with_capacity(self.sent.len() + self.left.len());
        while let Some(answer) = self.sent.pop_front() {
            let gone = || Reply::Unknown("the gateway is stopping".into());
            let reply = answer.await.unwrap_or_else(|_| gone());
            if failed(&reply).is_some() {
                self.left.clear();
            }
            self.send_next(core);
            replies.push(reply);
        }
        let long = match self.command.values() {
            0 => None,
            _ => flow::whole(core, &mut replies).await,
        };
        (self.command.reply(replies), long)
    }
}
