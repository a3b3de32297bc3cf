//! The cast: started, killed, and started again.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::STEPS;
use super::cluster::Cluster;
use super::plot::Chance;
use super::role::{DATABASE, DIES, PORT, PROTOCOL, Protocol, ROLE};

/// How they came to their ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Deaths {
    /// From outside, at any moment.
    pub(super) killed: usize,
    /// By themselves, by step.
    pub(super) aborted: BTreeMap<String, usize>,
}

struct Process {
    child: Child,
    port: Option<u16>,
    /// Where it is to abort.
    dies: Option<String>,
}

/// All processes of a storm. Dropped, they are killed.
pub(super) struct Processes {
    database: String,
    protocol: Protocol,
    chance: Chance,
    started: usize,
    all: Vec<Process>,
    deaths: Deaths,
}

impl Processes {
    pub(super) fn start(
        cluster: &Cluster,
        workers: usize,
        receivers: usize,
        protocol: Protocol,
        seed: u64,
    ) -> Self {
        let mut processes = Self {
            database: cluster.login_url(),
            protocol,
            chance: Chance::new(seed ^ 0x0c45_7a11),
            started: 0,
            all: Vec::new(),
            deaths: Deaths::default(),
        };
        for _ in 0..workers {
            let process = processes.spawn(None, true);
            processes.all.push(process);
        }
        for _ in 0..receivers {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = processes.spawn(Some(free), true);
            processes.all.push(process);
        }
        processes
    }

    /// Where receivers listen.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.all.iter().filter_map(|process| process.port).collect()
    }

    /// One that may be told to abort: at each step in turn, sooner or later.
    fn spawn(&mut self, port: Option<u16>, may_die: bool) -> Process {
        let step = STEPS[self.started % STEPS.len()];
        self.started += 1;
        let dies = may_die.then(|| format!("{step:?}:{}", 1 + self.chance.below(30)));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["storm::process", "--exact", "--ignored", "--nocapture"])
            .env(ROLE, if port.is_some() { "receiver" } else { "worker" })
            .env(DATABASE, &self.database)
            .env(PROTOCOL, if self.protocol == Protocol::Split { "split" } else { "fenced" })
            // Closed when this process ends, however it does.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(port) = port {
            command.env(PORT, port.to_string());
        }
        match &dies {
            Some(dies) => command.env(DIES, dies),
            None => command.env_remove(DIES),
        };
        Process { child: command.spawn().unwrap(), port, dies }
    }

    /// Waits a moment, kills somebody, and puts others in the place of the dead.
    pub(super) async fn strike(&mut self) {
        tokio::time::sleep(Duration::from_millis(60 + self.chance.below(180) as u64)).await;
        let victim = self.chance.below(self.all.len());
        // It may have ended itself already: then it is counted there.
        let _ = self.all[victim].child.kill();
        for place in 0..self.all.len() {
            self.replace_if_dead(place, true);
        }
    }

    fn replace_if_dead(&mut self, place: usize, may_die: bool) {
        let process = &mut self.all[place];
        let Some(status) = process.child.try_wait().unwrap() else { return };
        match status.signal() {
            Some(9) => self.deaths.killed += 1,
            Some(6) => {
                let step = process.dies.as_deref().and_then(|dies| dies.split(':').next());
                let step = step.unwrap_or("unasked").to_owned();
                *self.deaths.aborted.entry(step).or_default() += 1;
            }
            other => panic!("a process of the storm ended by itself: {status} {other:?}"),
        }
        let port = process.port;
        let next = self.spawn(port, may_die);
        self.all[place] = next;
    }

    /// From now on nobody dies any more.
    pub(super) fn calm(&mut self) {
        for place in 0..self.all.len() {
            let _ = self.all[place].child.kill();
            let _ = self.all[place].child.wait();
            self.replace_if_dead(place, false);
        }
    }

    pub(super) fn stop(mut self) -> Deaths {
        std::mem::take(&mut self.deaths)
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
