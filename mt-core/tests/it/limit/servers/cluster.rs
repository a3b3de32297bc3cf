//! Servers that are a cluster.

use std::time::Duration;

use tempfile::TempDir;

use super::{Redis, ask, free_port};

/// A cluster of three masters, each with a third of the slots and a folder for what it knows of the others.
pub(in crate::limit) struct Cluster {
    pub(in crate::limit) nodes: Vec<Redis>,
    home: TempDir,
}

/// How long a node is unheard of before the others take it for dead.
pub(in crate::limit) const NODE_TIMEOUT: Duration = Duration::from_secs(2);

const SLOTS: u16 = 16_384;

/// The rights that the module documentation of `mt_core::redis` asks for.
const RIGHTS: &str = "+eval +evalsha +incr +pttl +pexpire +time +get +set +hmget +hset \
     +ping +cluster|slots +asking";

impl Cluster {
    /// `None` where there is no `redis-server` to start.
    pub(in crate::limit) async fn start() -> Option<Self> {
        let mut cluster = Self { nodes: Vec::new(), home: tempfile::tempdir().unwrap() };
        for _ in 0..3 {
            cluster.start_node().await?;
        }
        for (number, node) in (0..).zip(&cluster.nodes) {
            let mut node = node.connect().await;
            let third = number * SLOTS / 3..(number + 1) * SLOTS / 3;
            let () = redis::cmd("CLUSTER")
                .arg("ADDSLOTS")
                .arg(third.collect::<Vec<_>>())
                .query_async(&mut node)
                .await
                .unwrap();
            // Different from the start, or the nodes first have to agree on whose word counts more.
            let () = ask(&mut node, &format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)).await;
        }
        cluster.meet().await;
        Some(cluster)
    }

    /// Another node, without slots.
    pub(in crate::limit) async fn add_node(&mut self) -> usize {
        self.start_node().await.expect("it was there before");
        self.meet().await;
        self.nodes.len() - 1
    }

    pub(in crate::limit) fn kill(&mut self, number: usize) {
        self.nodes[number].kill();
    }

    /// Waits until a node that was away answers for its slots.
    pub(in crate::limit) async fn takes_part(&self, number: usize) {
        let answers = async {
            loop {
                let client = redis::Client::open(self.nodes[number].url()).unwrap();
                let node = client.get_multiplexed_async_connection().await;
                let info: redis::RedisResult<String> = match node {
                    Ok(mut node) => redis::cmd("CLUSTER").arg("INFO").query_async(&mut node).await,
                    Err(error) => Err(error),
                };
                if info.is_ok_and(|info| info.contains("cluster_state:ok\r")) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), answers).await.expect("the node comes back");
    }

    /// Starts again what was killed, where it was and with what it knew.
    pub(in crate::limit) fn restart(&mut self, number: usize) {
        let port = self.nodes[number].port;
        self.nodes[number] = self.spawn(number, port).unwrap();
    }

    /// For a store, which has a user of its own with no more rights than it needs.
    pub(in crate::limit) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url().replace("//", "//limiter:hunter2@")).collect()
    }

    async fn start_node(&mut self) -> Option<()> {
        let number = self.nodes.len();
        std::fs::create_dir(self.home.path().join(number.to_string())).unwrap();
        // Another process may have been quicker to take the port.
        let mut node = self.spawn(number, free_port())?;
        let answers = async {
            while redis::Client::open(node.url())
                .unwrap()
                .get_multiplexed_async_connection()
                .await
                .is_err()
            {
                if node.has_ended() {
                    node = self.spawn(number, free_port()).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), answers).await.expect("a node answers");
        self.nodes.push(node);
        Some(())
    }

    fn spawn(&self, number: usize, port: u16) -> Option<Redis> {
        let folder = self.home.path().join(number.to_string());
        let timeout = NODE_TIMEOUT.as_millis().to_string();
        let folder = folder.to_str().unwrap();
        let user = format!("--user limiter on >hunter2 ~* {RIGHTS}");
        let cluster = format!("--cluster-enabled yes --cluster-node-timeout {timeout}");
        let patient = "--cluster-require-full-coverage no";
        let more = [&*user, &*cluster, patient].map(|part| part.split(' ')).into_iter().flatten();
        Redis::start_with(port, &["--dir", folder].into_iter().chain(more).collect::<Vec<_>>())
    }

    /// Introduces everybody to the first, and waits until all know of all and of every slot.
    async fn meet(&self) {
        let mut first = self.nodes[0].connect().await;
        for node in &self.nodes[1..] {
            let () = ask(&mut first, &format!("CLUSTER MEET 127.0.0.1 {}", node.port)).await;
        }
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        let agreed = async {
            for node in &self.nodes {
                let mut node = node.connect().await;
                loop {
                    let info: String = ask(&mut node, "CLUSTER INFO").await;
                    let all = ["cluster_state:ok\r", "cluster_slots_assigned:16384\r", &known];
                    if all.iter().all(|part| info.contains(part)) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), agreed).await.expect("the cluster forms");
    }

    /// The name that a node has among the others.
    pub(in crate::limit) async fn id(&self, number: usize) -> String {
        ask(&mut self.nodes[number].connect().await, "CLUSTER MYID").await
    }

    /// How many keys each node holds.
    pub(in crate::limit) async fn sizes(&self) -> Vec<usize> {
        let mut sizes = Vec::new();
        for node in &self.nodes {
            sizes.push(ask(&mut node.connect().await, "DBSIZE").await);
        }
        sizes
    }

    /// Makes `replica` a replica of `master`, and waits until it has a copy.
    pub(in crate::limit) async fn replicate(&self, master: usize, replica: usize) {
        let id = self.id(master).await;
        let () =
            ask(&mut self.nodes[replica].connect().await, &format!("CLUSTER REPLICATE {id}")).await;
        self.replication_of(replica, "master_link_status:up\r").await;
    }

    /// Waits until `replica` has received everything that `master` has sent.
    pub(in crate::limit) async fn has_all_of(&self, master: usize, replica: usize) {
        let info: String = ask(&mut self.nodes[master].connect().await, "INFO replication").await;
        let sent = info.lines().find(|line| line.starts_with("master_repl_offset:")).unwrap();
        let sent: u64 = sent.split(':').nth(1).unwrap().parse().unwrap();
        let copied = async {
            loop {
                let mut replica = self.nodes[replica].connect().await;
                let info: String = ask(&mut replica, "INFO replication").await;
                let got = info.lines().find_map(|line| line.strip_prefix("slave_repl_offset:"));
                if got.is_some_and(|got| got.parse::<u64>().unwrap() >= sent) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), copied).await.expect("the replica follows");
    }

    /// Waits until a replica has taken its master's place.
    pub(in crate::limit) async fn is_master(&self, number: usize) {
        self.replication_of(number, "role:master\r").await;
    }

    async fn replication_of(&self, number: usize, says: &str) {
        let mut node = self.nodes[number].connect().await;
        let said = async {
            loop {
                let info: String = ask(&mut node, "INFO replication").await;
                if info.contains(says) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), said).await.expect(says);
    }
}
