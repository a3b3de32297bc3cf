//! The endpoints on bare hyper.

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::shop::World;

#[tokio::test]
async fn hyper_serves_the_endpoints() {
    let world = World::new().await;
    let ada = world.sign_in("ada@example.org").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(world.service.clone());
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let connection = hyper::server::conn::http1::Builder::new();
        connection.serve_connection(TokioIo::new(socket), service).await
    });
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = r#"{"name":"Acme"}"#;
    let request = format!(
        "POST /shops HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ada}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 201 Created\r\n"), "{response}");
    assert!(response.contains("location: /shops/"), "{response}");
    assert!(response.contains("x-request-id: "), "{response}");
    serving.await.unwrap().unwrap();
}
