//! A terminal of any width, with a program in front of it.

#![allow(dead_code)] // Each test binary uses its part.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::PATIENCE;

/// A program whose standard input, output and errors are one terminal.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was shown so far.
    pub shown: String,
}

impl Terminal {
    /// Starts `program` in front of a terminal with so many columns.
    pub fn run(mut program: Command, columns: u16) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it can be opened");
        let path = ptsname(&ours, Vec::new()).expect("it has a name").into_string().unwrap();
        let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(theirs.as_fd(), size).unwrap();
        let end = || Stdio::from(OwnedFd::from(theirs.try_clone().unwrap()));
        program.stdin(end()).stdout(end()).stderr(end());
        program.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("COLUMNS");
        let child = program.spawn().unwrap();
        drop((program, theirs));
        let keyboard = File::from(ours);
        let (mut master, (tx, screen)) = (keyboard.try_clone().unwrap(), channel());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of the program is an error here.
            while let Ok(read @ 1..) = master.read(&mut bytes) {
                if tx.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keyboard, screen, shown: String::new() }
    }

    /// Waits until `text` is shown.
    pub fn wait_for(&mut self, text: &str) {
        while !plain(&self.shown).contains(text) {
            let Ok(more) = self.screen.recv_timeout(PATIENCE) else {
                panic!("{text:?} was never shown:\n{}", self.shown)
            };
            self.shown += &String::from_utf8_lossy(&more);
        }
    }

    /// Types it.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// The process id, for a signal.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end, and returns all that was shown.
    pub fn end(mut self) -> (String, ExitStatus) {
        while let Ok(more) = self.screen.recv_timeout(PATIENCE) {
            self.shown += &String::from_utf8_lossy(&more);
        }
        let status = self.child.wait().unwrap();
        (std::mem::take(&mut self.shown), status)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands on the screen in the end: without colours, and without lines that were written over.
pub fn plain(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => drop(chars.by_ref().find(|c| c.is_ascii_alphabetic())),
            // A bar of progress goes back to its line's beginning; everybody else to the next line.
            '\r' if chars.peek().is_some_and(|next| !['\r', '\n'].contains(next)) => {
                plain.truncate(plain.rfind('\n').map_or(0, |end| end + 1));
            }
            '\r' => {}
            c => plain.push(c),
        }
    }
    plain
}
