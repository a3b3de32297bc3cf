//! Stands between the clients and the engine, and keeps rudeness away from it.
//!
//! The engine ends for good at the first client that hangs up with an answer unread, because the
//! operating system then reports a reset connection. That is what a cancelled request does. Here
//! such a client is seen off politely: the engine reads an end of file, its answer is read to the
//! end and thrown away, and it rolls back and goes on to the next client.
//!
//! Clients are served one at a time, in the order in which they came, as the engine does; the others
//! wait in the listener's queue. Plain threads and blocking reads, so that dropping the relay needs
//! no runtime.

use std::io;
use std::net::Shutdown;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::socket::{Address, Listener, Stream};

/// A listener for clients. Dropping it disconnects them and waits until the engine is rid of them.
#[derive(Debug)]
pub(super) struct Relay {
    address: Address,
    present: Arc<Mutex<Present>>,
    thread: Option<JoinHandle<()>>,
}

/// Who is being served.
#[derive(Debug)]
enum Present {
    Client(Stream),
    Nobody,
    Stopping,
}

impl Relay {
    pub(super) fn start(dir: &Path, engine: Address) -> io::Result<Self> {
        let (listener, address) = Address::bind(dir)?;
        let present = Arc::new(Mutex::new(Present::Nobody));
        let thread = thread::Builder::new().name("embedded-postgres".into()).spawn({
            let present = Arc::clone(&present);
            move || serve(&listener, &engine, &present)
        })?;
        Ok(Self { address, present, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let before = replace(&self.present, Present::Stopping);
        if let Present::Client(client) = before {
            let _ = client.shutdown(Shutdown::Both);
        }
        // The thread may be waiting for the next client: be that client.
        let _ = self.address.connect();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn replace(present: &Mutex<Present>, next: Present) -> Present {
    std::mem::replace(&mut *present.lock().unwrap_or_else(PoisonError::into_inner), next)
}

fn serve(listener: &Listener, engine: &Address, present: &Mutex<Present>) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        match enter(present, &client) {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => continue,
        }
        if let Err(error) = session(&client, engine) {
            tracing::warn!(%error, "the embedded Postgres is out of reach");
        }
        let mut present = present.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*present, Present::Stopping) {
            return;
        }
        *present = Present::Nobody;
    }
}

/// Notes who is being served, unless the relay is to stop.
fn enter(present: &Mutex<Present>, client: &Stream) -> io::Result<bool> {
    let client = client.try_clone()?;
    let mut present = present.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*present, Present::Stopping) {
        return Ok(false);
    }
    *present = Present::Client(client);
    Ok(true)
}

/// Serves one client until both sides have let go.
fn session(client: &Stream, engine: &Address) -> io::Result<()> {
    let engine = engine.connect()?;
    thread::scope(|scope| {
        scope.spawn(|| {
            // Ends when the client leaves, in whatever way, or is sent away.
            let _ = io::copy(&mut &*client, &mut &engine);
            let _ = engine.shutdown(Shutdown::Write);
        });
        if io::copy(&mut &engine, &mut &*client).is_err() {
            // The client is gone; what the engine still has to say is heard all the same.
            let _ = io::copy(&mut &engine, &mut io::sink());
        }
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}
