//! How `kill`, `pause`, `resume`, `restart`, `isolate` and `heal` reach the `up` that started the cluster.
//!
//! `up` listens on a loopback port and writes port and a random token to `control.json` in the data directory, readable
//! by its owner only. So who may act on the cluster is who may read its directory; a web page, which can reach the port,
//! cannot know the token. Orders name a member and one of a few actions; there is no way to name a path or a command.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

pub use crate::control_file::{Control, FILE, withdraw};
use crate::manifest::{hex, random};
use crate::supervisor::{Action, Cluster};

/// The header that carries the token.
pub const TOKEN: &str = "x-cutaway-token";

struct Order {
    name: String,
    action: Action,
    done: oneshot::Sender<Result<String, String>>,
}

#[derive(Clone)]
struct Door {
    orders: mpsc::Sender<Order>,
    token: String,
}

/// Takes orders for `cluster` until dropped. Call it within a `LocalSet`.
pub async fn serve(cluster: Rc<Cluster>) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let token = hex(&random::<16>());
    let control =
        Control { pid: std::process::id(), port: listener.local_addr()?.port(), token: token.clone() };
    control.write(&cluster.dir)?;
    let (orders, mut inbox) = mpsc::channel::<Order>(16);
    let app =
        Router::new().route("/v1/members/{name}/{action}", post(take)).with_state(Door { orders, token });
    tokio::spawn(async move { axum::serve(listener, app).await });
    tokio::task::spawn_local(async move {
        while let Some(Order { name, action, done }) = inbox.recv().await {
            let cluster = cluster.clone();
            tokio::task::spawn_local(async move { drop(done.send(cluster.act(&name, action).await)) });
        }
    });
    Ok(())
}

async fn take(
    State(door): State<Door>,
    UrlPath((name, action)): UrlPath<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let known = headers.get(TOKEN).is_some_and(|token| token.as_bytes() == door.token.as_bytes());
    if !known || headers.contains_key(header::ORIGIN) {
        return answer(
            StatusCode::FORBIDDEN,
            Err("the token of this cluster's control.json is needed".into()),
        );
    }
    let Ok(action) = action.parse() else {
        return answer(StatusCode::NOT_FOUND, Err(format!("there is no action {action:?}")));
    };
    let (done, outcome) = oneshot::channel();
    let sent = door.orders.send(Order { name, action, done }).await;
    match (sent, outcome.await) {
        (Ok(()), Ok(Ok(text))) => answer(StatusCode::OK, Ok(text)),
        (Ok(()), Ok(Err(text))) => answer(StatusCode::CONFLICT, Err(text)),
        _ => answer(StatusCode::SERVICE_UNAVAILABLE, Err("the cluster is stopping".into())),
    }
}

fn answer(status: StatusCode, result: Result<String, String>) -> Response {
    let body = match result {
        Ok(text) => json!({ "done": text }),
        Err(text) => json!({ "error": text }),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
