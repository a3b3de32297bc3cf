//! An HTTP client with a connection of its own.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Channel, channel};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::Server;

type Body = Channel<Bytes, Infallible>;

/// A client with one connection, which is closed when dropped.
pub(super) struct Client {
    sender: SendRequest<Body>,
    connection: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The request's body, while it is being sent.
pub(super) type Sending = channel::Sender<Bytes, Infallible>;

impl Client {
    pub(super) async fn connect(server: &Server) -> Self {
        Self::connect_to(server.address).await
    }

    async fn connect_to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { sender, connection }
    }

    /// Sends the head of a POST request. The caller sends the body.
    pub(super) fn post(
        &mut self,
        path: &str,
    ) -> (Sending, impl Future<Output = hyper::Result<Response<Incoming>>> + use<>) {
        let (sending, body) = Channel::new(1);
        let request = Request::post(path).header("host", "localhost").body(body).unwrap();
        (sending, self.sender.send_request(request))
    }
}

/// Sends a POST request with the body `hello` on a new connection.
pub(super) async fn post(server: &Server, path: &str) -> hyper::Result<Response<Bytes>> {
    let mut client = Client::connect(server).await;
    let (mut sending, answer) = client.post(path);
    let sent = async move {
        // A server that refuses may not read on.
        drop(sending.send_data(Bytes::from_static(b"hello")).await);
    };
    let (answer, ()) = tokio::join!(answer, sent);
    let (parts, body) = answer?.into_parts();
    Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
}
