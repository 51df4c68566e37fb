//! etcd's `Put` and `Range`, as gRPC: a message with a length in front on an HTTP/2 stream. The messages have two fields
//! of bytes, so they are written by hand and need no generated code.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;

/// A connection that may be shared: each call is a stream of its own.
#[derive(Clone)]
pub struct Connection {
    calls: SendRequest<Bytes>,
}

impl Connection {
    pub(super) async fn open(port: u16, count: usize) -> io::Result<Vec<Connection>> {
        let mut connections = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let (calls, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
            // It ends with its last call.
            tokio::spawn(connection);
            connections.push(Connection { calls });
        }
        Ok(connections)
    }

    pub(super) async fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.call("/etcdserverpb.KV/Put", &[key, value]).await.map(drop)
    }

    /// A linearizable read, which is etcd's default.
    pub(super) async fn get(&mut self, key: &[u8]) -> io::Result<Vec<u8>> {
        self.call("/etcdserverpb.KV/Range", &[key]).await
    }

    /// Does this member lead?
    pub(super) async fn leads(&mut self) -> io::Result<bool> {
        let status = self.call("/etcdserverpb.Maintenance/Status", &[]).await?;
        let status = status.get(5..).unwrap_or_default();
        let header = fields(status).find(|(n, _)| *n == 1).map_or(&[][..], |(_, field)| field);
        let leader = fields(status).find(|(n, _)| *n == 4).map(|(_, field)| field);
        let me = fields(header).find(|(n, _)| *n == 2).map(|(_, field)| field);
        Ok(leader.is_some() && leader == me)
    }

    async fn call(&mut self, method: &str, fields: &[&[u8]]) -> io::Result<Vec<u8>> {
        let request = Request::post(format!("http://etcd{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request of this file");
        self.calls = self.calls.clone().ready().await.map_err(io::Error::other)?;
        let (response, mut body) = self.calls.send_request(request, false).map_err(io::Error::other)?;
        body.send_data(message(fields), true).map_err(io::Error::other)?;
        let mut body = response.await.map_err(io::Error::other)?.into_body();
        let mut answer = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.map_err(io::Error::other)?;
            answer.extend_from_slice(&data);
            let length = data.len();
            body.flow_control().release_capacity(length).map_err(io::Error::other)?;
        }
        let trailers = body.trailers().await.map_err(io::Error::other)?;
        match trailers.as_ref().and_then(|trailers| trailers.get("grpc-status")) {
            Some(status) if status == "0" => Ok(answer),
            status => Err(io::Error::other(format!("etcd answers with status {status:?}: {trailers:?}"))),
        }
    }
}

/// The fields of a message: of numbers the bytes that they are written in, of bytes and messages what is in them.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    fn number(bytes: &mut &[u8]) -> Option<u64> {
        let length = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let (number, rest) = bytes.split_at(length);
        *bytes = rest;
        Some(number.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f)))
    }
    std::iter::from_fn(move || {
        let tag = number(&mut message)?;
        let from = message;
        let field = match tag & 7 {
            0 => {
                number(&mut message)?;
                &from[..from.len() - message.len()]
            }
            2 => {
                let length = number(&mut message)? as usize;
                let field = message.get(..length)?;
                message = &message[length..];
                field
            }
            _ => return None,
        };
        Some((tag >> 3, field))
    })
}

/// Not compressed, its length, and fields 1, 2, … of bytes.
fn message(fields: &[&[u8]]) -> Bytes {
    let mut body = BytesMut::new();
    for (n, field) in fields.iter().enumerate() {
        body.put_u8((n as u8 + 1) << 3 | 2);
        let mut length = field.len();
        while length >= 0x80 {
            body.put_u8(length as u8 | 0x80);
            length >>= 7;
        }
        body.put_u8(length as u8);
        body.put_slice(field);
    }
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(0);
    framed.put_u32(body.len() as u32);
    framed.put(body);
    framed.freeze()
}
