//! Starting, killing and restarting the processes under test.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use test_support::process::free_port;

use super::STEPS;
use super::child::{ABORT_AT, DATABASE, PORT, PROTOCOL, Protocol, ROLE};
use super::database::TestServer;
use super::workload::Random;

/// How the processes ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Exits {
    /// Killed by the parent at any moment.
    pub(super) killed: usize,
    /// Aborted by themselves, by step.
    pub(super) aborted: BTreeMap<String, usize>,
}

struct Process {
    child: Child,
    port: Option<u16>,
    /// The step at which it aborts.
    abort_at: Option<String>,
}

/// All processes of one run. They are killed when dropped.
pub(super) struct Processes {
    database: String,
    protocol: Protocol,
    random: Random,
    started: usize,
    all: Vec<Process>,
    exits: Exits,
}

impl Processes {
    pub(super) fn start(
        server: &TestServer,
        workers: usize,
        receivers: usize,
        protocol: Protocol,
        seed: u64,
    ) -> Self {
        let mut processes = Self {
            database: server.login_url(),
            protocol,
            random: Random::new(seed ^ 0x0c45_7a11),
            started: 0,
            all: Vec::new(),
            exits: Exits::default(),
        };
        for _ in 0..workers {
            let process = processes.spawn(None, true);
            processes.all.push(process);
        }
        for _ in 0..receivers {
            let process = processes.spawn(Some(free_port()), true);
            processes.all.push(process);
        }
        processes
    }

    /// Where receivers listen.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.all.iter().filter_map(|process| process.port).collect()
    }

    /// Starts a process that may abort, at each step in turn.
    fn spawn(&mut self, port: Option<u16>, may_die: bool) -> Process {
        let step = STEPS[self.started % STEPS.len()];
        self.started += 1;
        let abort_at = may_die.then(|| format!("{step:?}:{}", 1 + self.random.below(30)));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["crash_recovery::process", "--exact", "--ignored", "--nocapture"])
            .env(ROLE, if port.is_some() { "receiver" } else { "worker" })
            .env(DATABASE, &self.database)
            .env(PROTOCOL, if self.protocol == Protocol::Split { "split" } else { "fenced" })
            // Closed when this process ends, for any reason.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(port) = port {
            command.env(PORT, port.to_string());
        }
        match &abort_at {
            Some(abort_at) => command.env(ABORT_AT, abort_at),
            None => command.env_remove(ABORT_AT),
        };
        Process { child: command.spawn().unwrap(), port, abort_at }
    }

    /// Waits a moment, kills a process, and restarts those that have ended.
    pub(super) async fn strike(&mut self) {
        tokio::time::sleep(Duration::from_millis(60 + self.random.below(180) as u64)).await;
        let victim = self.random.below(self.all.len());
        // It may have aborted already: then it is counted there.
        let _ = self.all[victim].child.kill();
        for place in 0..self.all.len() {
            self.replace_if_dead(place, true);
        }
    }

    fn replace_if_dead(&mut self, place: usize, may_die: bool) {
        let process = &mut self.all[place];
        let Some(status) = process.child.try_wait().unwrap() else { return };
        match status.signal() {
            Some(9) => self.exits.killed += 1,
            Some(6) => {
                let step =
                    process.abort_at.as_deref().and_then(|abort_at| abort_at.split(':').next());
                let step = step.unwrap_or("unasked").to_owned();
                *self.exits.aborted.entry(step).or_default() += 1;
            }
            other => panic!("a child process ended by itself: {status} {other:?}"),
        }
        let port = process.port;
        let next = self.spawn(port, may_die);
        self.all[place] = next;
    }

    /// Restarts all processes without a step at which they abort.
    pub(super) fn stop_aborting(&mut self) {
        for place in 0..self.all.len() {
            let _ = self.all[place].child.kill();
            let _ = self.all[place].child.wait();
            self.replace_if_dead(place, false);
        }
    }

    pub(super) fn stop(mut self) -> Exits {
        std::mem::take(&mut self.exits)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.all {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}
