//! Three brokers on one machine: the one that leads the queue is killed, then another is frozen.
//! Nothing is lost, and work stands still only for a moment.

use crate::{
    engines::Fleet,
    harness::{Process, free_port, id, slow, until},
    servers::server,
};
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const NODES: usize = 3;
/// A young queue is not yet safe on all of its members.
const SETTLED: Duration = Duration::from_secs(6);
/// The pause between two uploads.
const PACE: Duration = Duration::from_millis(100);
/// How long it is watched after a fault.
const WATCHED: Duration = Duration::from_secs(45);

struct Cluster {
    folder: TempDir,
    names: Vec<String>,
    ports: Vec<u16>,
    management: Vec<u16>,
}

impl Cluster {
    async fn start() -> Option<Self> {
        server("SLUICE_TEST_AMQP")?;
        let folder = tempfile::tempdir().unwrap();
        let free = free_port;
        let epmd = free();
        let ports: Vec<u16> = (0..NODES).map(|_| free()).collect();
        let management: Vec<u16> = (0..NODES).map(|_| free()).collect();
        let names: Vec<String> = ports.iter().map(|port| format!("c{port}@localhost")).collect();
        std::fs::write(folder.path().join(".erlang.cookie"), "cookie-of-a-test").unwrap();
        let only_ours = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        std::fs::set_permissions(folder.path().join(".erlang.cookie"), only_ours).unwrap();
        for index in 0..NODES {
            let dir = folder.path().join(index.to_string());
            std::fs::create_dir_all(dir.join("mnesia")).unwrap();
            let mut text = format!(
                "listeners.tcp.1 = 127.0.0.1:{}\nmanagement.tcp.ip = 127.0.0.1\n\
                 management.tcp.port = {}\nloopback_users = none\nlog.console = false\n\
                 disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 1GB\n\
                 cluster_partition_handling = pause_minority\nnet_ticktime = 10\n\
                 cluster_formation.peer_discovery_backend = classic_config\n",
                ports[index], management[index]
            );
            for (number, name) in (1..).zip(&names) {
                text.push_str(&format!(
                    "cluster_formation.classic_config.nodes.{number} = {name}\n"
                ));
            }
            std::fs::write(dir.join("rabbitmq.conf"), text).unwrap();
            std::fs::write(dir.join("enabled_plugins"), "[rabbitmq_management].").unwrap();
            let at = dir.display();
            let environment = format!(
                "export HOME='{}' RABBITMQ_NODENAME={} RABBITMQ_NODE_IP_ADDRESS=127.0.0.1\n\
                 export RABBITMQ_NODE_PORT={} RABBITMQ_DIST_PORT={} ERL_EPMD_PORT={epmd}\n\
                 export ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_CONF_ENV_FILE=/dev/null\n\
                 export RABBITMQ_CONFIG_FILE='{at}/rabbitmq.conf'\n\
                 export RABBITMQ_ENABLED_PLUGINS_FILE='{at}/enabled_plugins'\n\
                 export RABBITMQ_MNESIA_BASE='{at}/mnesia' RABBITMQ_LOG_BASE='{at}/log'\n\
                 export RABBITMQ_PID_FILE='{at}/pid'\n\
                 export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=\
                 '-kernel inet_dist_use_interface {{127,0,0,1}}'\n",
                folder.path().display(),
                names[index],
                ports[index],
                free(),
            );
            std::fs::write(dir.join("environment"), environment).unwrap();
        }
        let cluster = Self { folder, names, ports, management };
        for index in 0..NODES {
            cluster.spawn(index).await;
        }
        cluster.whole().await;
        Some(cluster)
    }

    fn dir(&self, index: usize) -> PathBuf {
        self.folder.path().join(index.to_string())
    }

    /// Starts a node, in a session of its own.
    async fn spawn(&self, index: usize) {
        let script = format!(
            ". '{0}/environment'; setsid nohup /usr/lib/rabbitmq/bin/rabbitmq-server \
             >'{0}/stdout' 2>&1 </dev/null &",
            self.dir(index).display()
        );
        let mut shell = tokio::process::Command::new("bash");
        assert!(shell.args(["-c", &script]).status().await.unwrap().success());
    }

    /// Waits until every node sees all of them.
    async fn whole(&self) {
        for port in &self.management {
            until("the cluster is whole", async || {
                let nodes = ask(*port, "nodes").await?;
                let running = |node: &&Value| node["running"] == true;
                (nodes.as_array()?.iter().filter(running).count() == NODES).then_some(())
            })
            .await;
        }
    }

    /// The node that leads the queue.
    async fn leader(&self) -> usize {
        until("the queue has a leader", async || {
            for port in &self.management {
                let Some(queue) = ask(*port, "queues/%2f/sluice.documents").await else { continue };
                let name = queue["leader"].as_str()?;
                return self.names.iter().position(|one| one == name);
            }
            None
        })
        .await
    }

    fn signal(&self, index: usize, signal: Signal) {
        let Ok(pid) = std::fs::read_to_string(self.dir(index).join("pid")) else { return };
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
        let _: Result<(), _> = kill_process(pid.unwrap(), signal);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for index in 0..NODES {
            self.signal(index, Signal::KILL);
        }
        let environment = self.dir(0).join("environment");
        let script = format!(". '{}'; epmd -port $ERL_EPMD_PORT -kill", environment.display());
        let _: Result<_, _> = std::process::Command::new("bash").args(["-c", &script]).output();
    }
}

async fn ask(port: u16, what: &str) -> Option<Value> {
    let request = Client::new().get(format!("http://127.0.0.1:{port}/api/{what}"));
    let request = request.basic_auth("guest", Some("guest")).timeout(Duration::from_secs(2));
    let answer = request.send().await.ok()?;
    if answer.status().is_success() { answer.json().await.ok() } else { None }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn the_leader_of_three_brokers_is_killed_and_another_frozen() {
    let Some(cluster) = Cluster::start().await else { return };
    let hosts: Vec<String> = cluster.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let url = format!("amqp://guest:guest@{}/%2f", hosts.join(","));
    let Some(fleet) = Fleet::new(&url, slow([20, 60]), "").await else { return };
    let _uploader = fleet.place.start("uploader").await;
    let _workers: Vec<Process> = (0..2).map(|_| fleet.place.spawn("worker", &[])).collect();
    let mut documents = fleet.upload(0..20).await;
    fleet.results(&documents).await;
    tokio::time::sleep(SETTLED).await;
    let leader = cluster.leader().await;
    cluster.signal(leader, Signal::KILL);
    let killed = stall(&fleet, &mut documents).await;
    cluster.spawn(leader).await;
    cluster.whole().await;
    tokio::time::sleep(SETTLED).await;
    let leader = cluster.leader().await;
    cluster.signal(leader, Signal::STOP);
    let frozen = stall(&fleet, &mut documents).await;
    let heir = cluster.leader().await;
    cluster.signal(leader, Signal::CONT);
    assert_ne!(heir, leader, "the frozen one leads");
    fleet.results(&documents).await;
    let paid: u64 = fleet.place.paid().await.values().sum();
    eprintln!(
        "three brokers, {} documents, 0 lost, {paid} calls: no document ended for {killed:.1} s \
         after the leader was killed, for {frozen:.1} s after one was frozen for {WATCHED:?}",
        documents.len()
    );
    assert_eq!(paid, documents.len() as u64);
    assert!(killed <= 5.0, "work stood still for {killed} s after the leader was killed");
    assert!(frozen <= 20.0, "work stood still for {frozen} s after a leader was frozen");
}

/// Uploads for a while; the longest time in which no document ended, in seconds.
async fn stall(fleet: &Fleet, documents: &mut Vec<Value>) -> f64 {
    let (begun, first) = (Instant::now(), documents.len());
    // The wait for the first end counts too.
    let mut ends = vec![shared::clock::now().as_millisecond()];
    while begun.elapsed() < WATCHED {
        documents.extend(fleet.upload(documents.len()..documents.len() + 1).await);
        tokio::time::sleep(PACE).await;
    }
    for document in &documents[first..] {
        fleet.place.ended(document).await;
        let document = fleet.place.get(&format!("/v1/documents/{}", id(document))).await;
        let end: jiff::Timestamp = document["finished_at"].as_str().unwrap().parse().unwrap();
        ends.push(end.as_millisecond());
    }
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap_or_default() as f64 / 1_000.0
}
