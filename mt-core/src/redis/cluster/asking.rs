//! A connection to a node that a slot is being moved to.

use futures_util::FutureExt as _;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{Cmd, ErrorKind, Pipeline, RedisFuture, Value};

/// Sends `ASKING` before each command, in the same message: without it the node redirects to the old owner of the
/// slot. A pipeline keeps the two together on a shared connection.
pub(super) struct Asking(pub(super) ConnectionManager);

impl ConnectionLike for Asking {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let mut both = Pipeline::with_capacity(2);
            both.cmd("ASKING").add_command(cmd.clone());
            let mut answers = self.0.req_packed_commands(&both, 1, 1).await?;
            answers.pop().ok_or_else(|| (ErrorKind::Client, "no answer after `ASKING`").into())
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(cmd, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
