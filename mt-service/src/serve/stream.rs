//! A client's socket with its deadlines.
//!
//! Each phase of a connection has a deadline, and so has a write that the client does not take. Only a stream
//! sees all of them: hyper's own timeout does not tell an idle connection from a slow head and does not bound
//! writes.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::slots::Slot;
use super::timeouts::Timeouts;

/// How long a closing connection is read from after the answer. Closed with bytes unread, the kernel would
/// reset it, and the client or the proxy could lose the answer (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(5);
/// How much is read meanwhile.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// See the [module docs](self).
pub(super) struct Stream {
    tcp: TcpStream,
    slot: Arc<Slot>,
    timeouts: Timeouts,
    /// Since when the client has taken nothing of what is to be written.
    stalled: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    lingering: Option<Lingering>,
}

/// The server's side is closed; what the client still sends is thrown away.
struct Lingering {
    until: Instant,
    left: usize,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, slot: Arc<Slot>, timeouts: Timeouts) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(slot.deadline(&timeouts)));
        Self { tcp, slot, timeouts, stalled: None, timer, lingering: None }
    }

    /// Ready once a deadline has passed; otherwise the task is woken at the next one.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let phase = self.slot.deadline(&self.timeouts);
        let write = self.stalled.map(|since| since + self.timeouts.write);
        ready!(self.poll_until(write.map_or(phase, |write| write.min(phase)), cx));
        Poll::Ready(Error::new(ErrorKind::TimedOut, "the client is too slow"))
    }

    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(cx)
    }

    fn after_write(
        &mut self,
        written: Poll<Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize>> {
        if written.is_pending() {
            self.stalled.get_or_insert_with(Instant::now);
            return Poll::Ready(Err(ready!(self.poll_overdue(cx))));
        }
        self.stalled = None;
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if read.is_pending() {
            return Poll::Ready(Err(ready!(self.poll_overdue(cx))));
        }
        if buf.filled().len() > before {
            self.slot.received();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.after_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.after_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
        }
        loop {
            if !self.slot.lingers() {
                return Poll::Ready(Ok(()));
            }
            let begin = || Lingering { until: Instant::now() + LINGER, left: LINGER_BYTES };
            let &mut Lingering { until, left } = self.lingering.get_or_insert_with(begin);
            let mut scratch = [0; 8 * 1024];
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.tcp).poll_read(cx, &mut buf) {
                Poll::Pending => return self.poll_until(until, cx).map(Ok),
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && buf.filled().len() < left => {
                    let left = left - buf.filled().len();
                    self.lingering = Some(Lingering { until, left });
                }
                // The client has closed or reset it, or sends without an end.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
