//! A proxy between clients and the engine, which shields the engine from aborted connections.
//!
//! The engine exits when a client disconnects with a response unread, because the operating system then reports a
//! reset connection. A cancelled request does that. The relay hides it: the engine reads an end of file, the relay
//! reads and discards the response, and the engine rolls back and serves the next client.
//!
//! Clients are served one at a time, in order of arrival, as by the engine; others wait in the listener's queue. It
//! uses plain threads and blocking reads, so that dropping the relay needs no runtime.

use std::io;
use std::net::Shutdown;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::socket::{Address, Listener, Stream};

/// The listener for clients. Dropping it disconnects them and waits until the engine has finished with them.
#[derive(Debug)]
pub(super) struct Relay {
    address: Address,
    present: Arc<Mutex<Present>>,
    thread: Option<JoinHandle<()>>,
}

/// The client that is being served.
#[derive(Debug)]
enum Present {
    Client(Stream),
    None,
    Stopping,
}

impl Relay {
    pub(super) fn start(dir: &Path, engine: Address) -> io::Result<Self> {
        let (listener, address) = Address::bind(dir)?;
        let present = Arc::new(Mutex::new(Present::None));
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
        // The thread may be waiting in `accept`: connect to wake it.
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
            tracing::warn!(%error, "the embedded Postgres cannot be reached");
        }
        let mut present = present.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*present, Present::Stopping) {
            return;
        }
        *present = Present::None;
    }
}

/// Registers the client that is being served, unless the relay is stopping.
fn enter(present: &Mutex<Present>, client: &Stream) -> io::Result<bool> {
    let client = client.try_clone()?;
    let mut present = present.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*present, Present::Stopping) {
        return Ok(false);
    }
    *present = Present::Client(client);
    Ok(true)
}

/// Serves one client until both sides have closed.
fn session(client: &Stream, engine: &Address) -> io::Result<()> {
    let engine = engine.connect()?;
    thread::scope(|scope| {
        scope.spawn(|| {
            // Ends when the client disconnects or is disconnected.
            let _ = io::copy(&mut &*client, &mut &engine);
            let _ = engine.shutdown(Shutdown::Write);
        });
        if io::copy(&mut &engine, &mut &*client).is_err() {
            // The client is gone; the rest of the engine's response is read and discarded.
            let _ = io::copy(&mut &engine, &mut io::sink());
        }
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}
