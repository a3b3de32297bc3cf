//! The signals that stop a process.

use std::io;

/// Returns a future that is ready at the first SIGINT or SIGTERM (on Windows: Ctrl-C).
///
/// From the call on, the signals no longer end the process at once. Call it before the service says that it is up, so that
/// no signal falls in between.
///
/// # Errors
///
/// When the process may not listen for signals.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()> + Send + use<>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    {
        let mut interrupt = tokio::signal::windows::ctrl_c()?;
        Ok(async move {
            interrupt.recv().await;
        })
    }
}
