//! Tokens: who may ask what. Without tokens in the gateway's file, everybody may do everything.

use secure::token::Access;

use super::asked::Shown;
use super::command::{Command, Touch};
use super::connection::Connection;

impl Connection {
    /// Takes a token, or says why not.
    pub(super) fn authenticate(&mut self, shown: &Shown) -> Result<(), String> {
        let tokens = self.core.borrow().options.tokens.now();
        if !tokens.are_asked_for() {
            // Taking any would make a client believe that there is one.
            return Err(
                "WRONGPASS this gateway asks for no token: connect without AUTH (docs/redis.md, Tokens)"
                    .into(),
            );
        }
        match tokens.find(shown.name.as_deref(), &shown.token) {
            Some(known) => {
                self.token = Some(known.clone());
                Ok(())
            }
            // What was shown before counts no longer.
            None => {
                self.token = None;
                Err("WRONGPASS this token is not known here; AUTH TOKEN takes one that `cutaway token` made"
                    .into())
            }
        }
    }

    /// The connection is as it was when it was new.
    pub(super) fn forget_token(&mut self) {
        self.token = None;
    }

    /// Has a token been shown, if one is asked for? What it allows by now.
    pub(super) fn allowed_at_all(&self) -> Result<Access, String> {
        // Clients look for the first word.
        let why = "NOAUTH Authentication required: AUTH TOKEN, or HELLO 3 AUTH default TOKEN";
        self.core.borrow().options.tokens.now().allowed(self.token.as_ref()).ok_or_else(|| why.into())
    }

    /// May this connection ask that?
    pub(super) fn allowed(&self, command: &Command) -> Result<(), String> {
        if matches!(command, Command::Server(asked) if asked.is_open()) {
            return Ok(());
        }
        match (command.touches(), self.allowed_at_all()?) {
            (Touch::Writes(_), Access::Read) => {
                Err("NOPERM this token may only read; a read-write one is needed (docs/redis.md, Tokens)"
                    .into())
            }
            _ => Ok(()),
        }
    }
}
