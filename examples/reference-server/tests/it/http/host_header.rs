//! A request has exactly one `Host` header (RFC 9112 §3.2).

use super::routes;
use crate::support::raw_http::TestService;

#[tokio::test]
async fn a_request_without_one_host_is_refused() {
    let server = TestService::start(routes()).await;
    for request in [
        "GET /works HTTP/1.1\r\n\r\n",
        "GET http://x/works HTTP/1.1\r\n\r\n",
        "GET /works HTTP/1.1\r\nhost:\r\n\r\n",
        "GET /works HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n",
        "GET /works HTTP/1.1\r\nhost: x, y\r\n\r\n",
        "GET /works HTTP/1.1\r\nhost: x y\r\n\r\n",
        "GET /works HTTP/1.1\r\nhost: user@x\r\n\r\n",
        "GET /works HTTP/1.1\r\nhost: x:port\r\n\r\n",
        "GET /works HTTP/1.0\r\nhost: x\r\nhost: x\r\n\r\n",
        // Before the path, the method and the length of the body.
        "BREW /nowhere HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    ] {
        let mut connection = server.connect().await;
        connection.send(request.as_bytes()).await;
        connection.reply(true).await.assert_problem(400, "invalid-request");
    }
    for request in [
        "GET /works HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /works HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n",
        "GET http://y/works HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /works HTTP/1.0\r\n\r\n",
    ] {
        let mut connection = server.connect().await;
        connection.send(request.as_bytes()).await;
        assert_eq!(connection.reply(true).await.status, 200, "{request:?}");
    }
    server.stop().await;
}
