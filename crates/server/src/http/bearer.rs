//! `Authorization: Bearer TOKEN`: who may ask what. Without tokens in the gateway's file, everybody may do everything.
//!
//! The probes are open: whoever restarts processes has no token, and learns from them nothing that is stored.

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use secure::token::{Access, Tokens};

use super::request::Refusal;

/// May whoever sends this do so?
pub fn allowed(request: &Request, tokens: &Tokens) -> Result<(), Refusal> {
    if !tokens.are_asked_for() || matches!(request.uri().path(), "/livez" | "/readyz") {
        return Ok(());
    }
    let unknown = |why: &str| Err((StatusCode::UNAUTHORIZED, why.into()));
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    let (Some(shown), None) = (headers.next(), headers.next()) else {
        return unknown("a token is needed: Authorization: Bearer TOKEN");
    };
    let token =
        shown.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    let Some((_, token)) = token else {
        return unknown("another kind of authorization is needed: Authorization: Bearer TOKEN");
    };
    match tokens.find(None, token.trim_ascii()) {
        None => unknown(
            "this token is not known here; take one that `cutaway token` made, and the gateway's file has",
        ),
        Some(known) if known.access < Access::Write && writes(request.method()) => {
            Err((StatusCode::FORBIDDEN, "this token may only read; a read-write one is needed".into()))
        }
        Some(_) => Ok(()),
    }
}

fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
