//! The service as a process: which database it refuses, and what it logs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use helpdesk::SCHEMA;
use mt::testing::TestDatabase;

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(db: &TestDatabase) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_helpdesk"));
        for name in ["MIGRATE_DATABASE_URL", "RUST_LOG", "LOG_FORMAT"] {
            command.env_remove(name);
        }
        command
            .env("DATABASE_URL", db.login_url())
            .env("JWT_SECRET", mt::token::SecretToken::generate().reveal())
            .env("LISTEN", "127.0.0.1:0")
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// The lines of the log, as they come.
    fn log(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stderr.take().unwrap()).lines().map(Result::unwrap)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_database_without_the_migrations_is_refused() {
    let db = TestDatabase::create().await.unwrap();
    let mut service = Process::start(&db);
    let mut log = service.log();
    let text = log.find(|line| line.contains("migrations") || line.contains("listening")).unwrap();
    let lacks = "the database lacks migrations: 1, the first is `helpdesk/0001 tickets`";
    assert!(text.contains(lacks), "{text}");
    assert!(text.contains("`mt migrate --schema helpdesk=migrations --login mt_test_"), "{text}");
    assert_eq!(service.0.wait().unwrap().code(), Some(1));
}

#[tokio::test]
async fn the_log_has_the_address_and_a_line_for_each_request() {
    let db = TestDatabase::create_with(&[SCHEMA]).await.unwrap();
    let mut service = Process::start(&db);
    let mut log = service.log();
    let line = log.find(|line| line.contains("listening on http://")).unwrap();
    let (_, address) = line.split_once("http://").unwrap();
    let (address, _) = address.split_once('"').unwrap();

    let mut client = TcpStream::connect(address).unwrap();
    let head = "GET /shops/x/tickets HTTP/1.1\r\nhost: x\r\nx-request-id: of-the-client\r\nconnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains(r#""request_id":"of-the-client""#), "{answer}");

    let line = log.find(|line| line.contains("answered")).unwrap();
    assert!(line.contains("of-the-client") && line.contains("401"), "{line}");
}
