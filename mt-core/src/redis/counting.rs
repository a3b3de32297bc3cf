//! The command of one count, and its answer.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind};
use sha2::{Digest as _, Sha256};

use crate::limit::{Decision, Policy, Quota};

/// How many bytes of a key's hash are kept: 128 bits.
const KEPT: usize = 16;

/// The longest window in milliseconds, ten years: its microseconds are exact in a Lua number.
const LONGEST: u128 = 10 * 366 * 24 * 60 * 60 * 1000;

/// Makes keys and commands, the same for every store.
#[derive(Clone)]
pub(super) struct Counting {
    fixed_window: Script,
    gcra: Script,
    pub(super) prefix: String,
}

#[derive(Clone)]
struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self { source, hash: redis::Script::new(source).get_hash().to_owned() }
    }
}

impl Counting {
    pub(super) fn new() -> Self {
        Self {
            fixed_window: Script::new(include_str!("scripts/fixed_window.lua")),
            gcra: Script::new(include_str!("scripts/gcra.lua")),
            prefix: "mt:rl".to_owned(),
        }
    }

    /// Returns the Redis key of a count. It is hashed, so that its length and its characters do not depend
    /// on what a client sends; in braces, so that a cluster finds one slot for it whatever the prefix.
    pub(super) fn key(&self, key: &str, quota: Quota) -> String {
        let mut hash = Sha256::new();
        hash.update(quota.window.as_nanos().to_be_bytes());
        let policy: &[u8] = match quota.policy {
            Policy::FixedWindow => b"",
            Policy::Gcra => b"gcra:",
        };
        hash.update(policy);
        hash.update(key.as_bytes());
        let mut digits = [0; 2 * KEPT];
        hex::encode_to_slice(&hash.finalize()[..KEPT], &mut digits).expect("two digits a byte");
        let digits = str::from_utf8(&digits).expect("digits are ASCII");
        [&self.prefix, ":{", digits, "}"].concat()
    }

    /// Returns the command that counts a key made by [`key`](Self::key).
    pub(super) fn call(&self, key: String, quota: Quota) -> Call<'_> {
        let script = match quota.policy {
            Policy::FixedWindow => &self.fixed_window,
            Policy::Gcra => &self.gcra,
        };
        // Redis counts in milliseconds and deletes a key whose window is zero.
        let window = u64::try_from(quota.window.as_millis().clamp(1, LONGEST)).unwrap_or(1);
        Call { script, key, limit: quota.limit.get(), window }
    }
}

/// One count, to be sent to a server.
pub(super) struct Call<'a> {
    script: &'a Script,
    key: String,
    limit: u32,
    window: u64,
}

impl Call<'_> {
    /// Counts in one atomic round trip, or in two if the server does not have the script.
    pub(super) async fn on(&self, server: &mut impl ConnectionLike) -> RedisResult<Decision> {
        let answer = match self.evalsha().query_async(server).await {
            Err(error) if has_no_script(&error) => self.eval().query_async(server).await,
            answer => answer,
        };
        answer.map(decision)
    }

    fn evalsha(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// Sends the script itself, which the server then keeps.
    fn eval(&self) -> Cmd {
        self.command("EVAL", self.script.source)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        // The numbers have at most one, ten and twelve digits.
        let mut command = Cmd::with_capacity(6, name.len() + script.len() + self.key.len() + 23);
        command.arg(name).arg(script).arg(1).arg(&self.key).arg(self.limit).arg(self.window);
        command
    }
}

/// How many requests remain, or -1 for a refusal; then the times. Few values, because parsing one takes the
/// client longer than hashing the key.
type Answer = (i64, u64, u64);

fn decision((remaining, reset, retry): Answer) -> Decision {
    Decision {
        allowed: remaining >= 0,
        remaining: u32::try_from(remaining).unwrap_or(0),
        reset_after: Duration::from_millis(reset),
        retry_after: Duration::from_millis(retry),
    }
}

fn has_no_script(error: &redis::RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
