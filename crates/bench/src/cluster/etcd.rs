//! etcd's `Put` and `Range`, as gRPC: a message with a length in front on an HTTP/2 stream. The messages have two fields
//! of bytes, so they are written by hand and need no generated code.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;

use super::refused;

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
            let (calls, connection) = h2::client::handshake(stream).await.map_err(refused)?;
            // It ends with its last call.
            tokio::spawn(connection);
            connections.push(Connection { calls });
        }
        Ok(connections)
    }

    pub(super) async fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.call("/etcdserverpb.KV/Put", &[key, value]).await
    }

    /// A linearizable read, which is etcd's default.
    pub(super) async fn get(&mut self, key: &[u8]) -> io::Result<()> {
        self.call("/etcdserverpb.KV/Range", &[key]).await
    }

    async fn call(&mut self, method: &str, fields: &[&[u8]]) -> io::Result<()> {
        let request = Request::post(format!("http://etcd{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request of this file");
        self.calls = self.calls.clone().ready().await.map_err(refused)?;
        let (response, mut body) = self.calls.send_request(request, false).map_err(refused)?;
        body.send_data(message(fields), true).map_err(refused)?;
        let mut body = response.await.map_err(refused)?.into_body();
        while let Some(data) = body.data().await {
            let length = data.map_err(refused)?.len();
            body.flow_control().release_capacity(length).map_err(refused)?;
        }
        let trailers = body.trailers().await.map_err(refused)?;
        match trailers.as_ref().and_then(|trailers| trailers.get("grpc-status")) {
            Some(status) if status == "0" => Ok(()),
            status => Err(refused(format!("etcd answers with status {status:?}: {trailers:?}"))),
        }
    }
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
