//! A Redis Cluster for one test.

use std::time::Duration;

use tempfile::TempDir;

use super::{RedisServer, command};

/// A cluster of three masters, each with a third of the slots. Its processes are killed when it is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    /// The nodes, in the order of their slots.
    pub nodes: Vec<RedisServer>,
    /// A folder for each node, which holds what it knows of the others.
    home: TempDir,
}

/// How long a node does not answer before the others treat it as failed.
pub const NODE_TIMEOUT: Duration = Duration::from_secs(2);

const SLOTS: u16 = 16_384;

/// The permissions that the documentation of `mt_core::redis` asks for.
const PERMISSIONS: &str = "+eval +evalsha +incr +pttl +pexpire +time +get +set \
     +ping +cluster|slots +asking";

impl RedisCluster {
    /// Starts a cluster and returns when it serves all slots. Returns `None` where Redis is not installed.
    ///
    /// # Panics
    ///
    /// If the cluster does not form within 30 seconds.
    pub async fn start() -> Option<Self> {
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
            // Nodes with equal epochs first have to agree on which configuration is newer.
            let () = command(&mut node, &format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)).await;
        }
        cluster.meet().await;
        Some(cluster)
    }

    /// Adds a node without slots and returns its number.
    ///
    /// # Panics
    ///
    /// If the node does not join within 30 seconds.
    pub async fn add_node(&mut self) -> usize {
        self.start_node().await.expect("Redis is installed");
        self.meet().await;
        self.nodes.len() - 1
    }

    /// Returns the URLs of all nodes, for a user with no more permissions than a limiter needs.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url().replace("//", "//limiter:hunter2@")).collect()
    }

    /// Returns the id that a node has in the cluster.
    ///
    /// # Panics
    ///
    /// If the node does not answer.
    pub async fn id(&self, number: usize) -> String {
        command(&mut self.nodes[number].connect().await, "CLUSTER MYID").await
    }

    /// Returns how many keys each node holds.
    ///
    /// # Panics
    ///
    /// If a node does not answer.
    pub async fn sizes(&self) -> Vec<usize> {
        let mut sizes = Vec::new();
        for node in &self.nodes {
            sizes.push(command(&mut node.connect().await, "DBSIZE").await);
        }
        sizes
    }

    /// Returns when a node that was away serves its slots again.
    ///
    /// # Panics
    ///
    /// If that takes longer than 30 seconds.
    pub async fn wait_until_serving(&self, number: usize) {
        let serving = async {
            loop {
                let info: redis::RedisResult<String> = match self.nodes[number].try_connect().await
                {
                    Ok(mut node) => redis::cmd("CLUSTER").arg("INFO").query_async(&mut node).await,
                    Err(error) => Err(error),
                };
                if info.is_ok_and(|info| info.contains("cluster_state:ok\r")) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), serving).await.expect("the node returns");
    }

    /// Makes `replica` a replica of `master`, and returns when it has a copy.
    ///
    /// # Panics
    ///
    /// If that takes longer than 30 seconds.
    pub async fn replicate(&self, master: usize, replica: usize) {
        let id = self.id(master).await;
        let mut node = self.nodes[replica].connect().await;
        let () = command(&mut node, &format!("CLUSTER REPLICATE {id}")).await;
        self.wait_for_replication_info(replica, "master_link_status:up\r").await;
    }

    /// Returns when `replica` has received everything that `master` has sent.
    ///
    /// # Panics
    ///
    /// If that takes longer than 30 seconds.
    pub async fn wait_until_copied(&self, master: usize, replica: usize) {
        let mut node = self.nodes[master].connect().await;
        let info: String = command(&mut node, "INFO replication").await;
        let sent = info.lines().find(|line| line.starts_with("master_repl_offset:")).unwrap();
        let sent: u64 = sent.split(':').nth(1).unwrap().parse().unwrap();
        let copied = async {
            loop {
                let mut replica = self.nodes[replica].connect().await;
                let info: String = command(&mut replica, "INFO replication").await;
                let got = info.lines().find_map(|line| line.strip_prefix("slave_repl_offset:"));
                if got.is_some_and(|got| got.parse::<u64>().unwrap() >= sent) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), copied).await.expect("the replica follows");
    }

    /// Returns when a replica has become a master.
    ///
    /// # Panics
    ///
    /// If that takes longer than 30 seconds.
    pub async fn wait_until_master(&self, number: usize) {
        self.wait_for_replication_info(number, "role:master\r").await;
    }

    async fn wait_for_replication_info(&self, number: usize, line: &str) {
        let mut node = self.nodes[number].connect().await;
        let matching = async {
            loop {
                let info: String = command(&mut node, "INFO replication").await;
                if info.contains(line) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), matching).await.expect(line);
    }

    async fn start_node(&mut self) -> Option<()> {
        let number = self.nodes.len();
        std::fs::create_dir(self.home.path().join(number.to_string())).unwrap();
        let mut node = self.spawn(number)?;
        let answering = async {
            while node.try_connect().await.is_err() {
                // Another process may have taken the port first.
                if node.has_ended() {
                    node = self.spawn(number).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), answering).await.expect("a node answers");
        self.nodes.push(node);
        Some(())
    }

    fn spawn(&self, number: usize) -> Option<RedisServer> {
        let folder = self.home.path().join(number.to_string());
        let timeout = NODE_TIMEOUT.as_millis();
        let arguments = format!(
            "--dir {} --user limiter on >hunter2 ~* {PERMISSIONS} --cluster-enabled yes \
             --cluster-node-timeout {timeout} --cluster-require-full-coverage no",
            folder.display()
        );
        RedisServer::spawn_with(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Introduces all nodes to the first, and waits until each knows all others and all slots.
    async fn meet(&self) {
        let mut first = self.nodes[0].connect().await;
        for node in &self.nodes[1..] {
            let () = command(&mut first, &format!("CLUSTER MEET 127.0.0.1 {}", node.port())).await;
        }
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        let agreed = async {
            for node in &self.nodes {
                let mut node = node.connect().await;
                loop {
                    let info: String = command(&mut node, "CLUSTER INFO").await;
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
}
