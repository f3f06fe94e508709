//! RabbitMQ for tests: a virtual host of its own for each, and a broker of its own for who kills it.

use crate::{
    harness::{repository, until},
    servers::{fresh_database, has_server, server},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use shared::{
    config::Secret,
    document::DocumentId,
    queue::{Queue, rabbit::RabbitQueue},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A broker, and the way to manage it.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    /// `HOST:PORT`.
    pub host: String,
    management: String,
}

impl Broker {
    /// The broker that all tests share, if there is one.
    pub(crate) fn shared() -> Option<Self> {
        let (amqp, management) =
            (server("SLUICE_TEST_AMQP")?, server("SLUICE_TEST_AMQP_MANAGEMENT")?);
        Some(Self::at(&amqp, management))
    }

    fn at(amqp: &str, management: String) -> Self {
        let host = amqp.split('@').nth(1).unwrap().split('/').next().unwrap();
        Self { host: host.to_owned(), management }
    }

    /// Asks the management API.
    pub(crate) async fn manage(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/api/{path}", self.management);
        let answer = Client::new().request(method, url).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A virtual host that nobody else uses, and its address.
    pub(crate) async fn vhost(&self) -> Vhost {
        let name = DocumentId::new(shared::clock::now()).to_string();
        self.manage(Method::PUT, &format!("vhosts/{name}"), json!({})).await;
        self.user(&name, "guest").await;
        Vhost { url: self.url("guest", "guest", &name), broker: self.clone(), name }
    }

    /// Lets a user do everything in a virtual host.
    pub(crate) async fn user(&self, vhost: &str, user: &str) {
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        self.manage(Method::PUT, &format!("permissions/{vhost}/{user}"), all).await;
    }

    /// The address of a virtual host.
    pub(crate) fn url(&self, user: &str, password: &str, vhost: &str) -> String {
        format!("amqp://{user}:{password}@{}/{vhost}", self.host)
    }
}

/// A virtual host. It goes with its broker.
#[derive(Clone, Debug)]
pub(crate) struct Vhost {
    pub broker: Broker,
    pub name: String,
    pub url: String,
}

impl Vhost {
    pub(crate) fn queue(&self) -> Queue {
        queue(&self.url)
    }

    /// How many messages a queue has, unanswered ones too.
    pub(crate) async fn length(&self, queue: &str) -> Option<u64> {
        let path = format!("queues/{}/{queue}", self.name);
        self.broker.manage(Method::GET, &path, Value::Null).await["messages"].as_u64()
    }
}

pub(crate) fn queue(url: &str) -> Queue {
    Queue::Rabbit(RabbitQueue::new(&Secret::new(url)).unwrap())
}

/// A broker that belongs to one test, which may kill it. It ends with the test.
pub(crate) struct OwnBroker {
    pub broker: Broker,
    environment: String,
    folder: TempDir,
}

impl OwnBroker {
    /// Starts one, where the tests have a broker at all.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(None).await.map(|(broker, _)| broker)
    }

    /// Starts one that speaks TLS, too, with the certificates of a folder; and where it does that.
    pub(crate) async fn with_tls(certificates: &Path) -> Option<(Self, String)> {
        let (broker, exports) = Self::start_with(Some(certificates.to_owned())).await?;
        Some((broker, value(&exports, "SLUICE_TEST_AMQPS")))
    }

    async fn start_with(certificates: Option<PathBuf>) -> Option<(Self, String)> {
        if !has_server("SLUICE_TEST_AMQP_ENVIRONMENT") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let start = move || services(&path, &["start", "rabbit"], certificates.as_deref());
        let exports = tokio::task::spawn_blocking(start).await.unwrap();
        let value = |name: &str| value(&exports, name);
        let broker = Broker::at(&value("SLUICE_TEST_AMQP"), value("SLUICE_TEST_AMQP_MANAGEMENT"));
        let environment = value("SLUICE_TEST_AMQP_ENVIRONMENT");
        Some((Self { broker, environment, folder }, exports))
    }

    /// Makes a user and a virtual host for it, and gives this address with both in it.
    pub(crate) async fn let_in(&self, address: &str, password: &str) -> String {
        let vhost = self.broker.vhost().await.name;
        let user = json!({ "password": password, "tags": "" });
        self.broker.manage(Method::PUT, &format!("users/{vhost}"), user).await;
        self.broker.user(&vhost, &vhost).await;
        let (scheme, place) = address.split_once("://guest:guest@").unwrap();
        let host = place.split('/').next().unwrap();
        format!("{scheme}://{vhost}:{password}@{host}/{vhost}")
    }

    /// SIGKILL.
    pub(crate) async fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.path().join("rabbit/pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        until("the broker is dead", async || {
            rustix::process::test_kill_process(pid).is_err().then_some(())
        })
        .await;
    }

    /// Starts it again and does not wait. It gets a session of its own, as `tests/services` does.
    pub(crate) async fn restart(&self) {
        self.shell(
            "setsid nohup /usr/lib/rabbitmq/bin/rabbitmq-server >/dev/null 2>&1 </dev/null &",
        )
        .await;
    }

    /// `rabbitmqctl`.
    pub(crate) async fn control(&self, arguments: &str) {
        self.shell(&format!("rabbitmqctl -q -n $RABBITMQ_NODENAME {arguments}")).await;
    }

    async fn shell(&self, command: &str) {
        let script =
            format!(". '{}'; PATH=/usr/lib/rabbitmq/bin:$PATH; {command}", self.environment);
        let mut shell = tokio::process::Command::new("bash");
        let output = shell.args(["-c", &script]).output().await.unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        services(self.folder.path(), &["stop"], None);
    }
}

/// What `tests/services` exported under this name.
fn value(exports: &str, name: &str) -> String {
    tests::exported(exports, name).unwrap_or_else(|| panic!("{name} in {exports}"))
}

fn services(folder: &Path, arguments: &[&str], certificates: Option<&Path>) -> String {
    let mut command = Command::new(repository().join("tests/services"));
    command.args(arguments).env("SLUICE_SERVICES", folder);
    command.envs(certificates.map(|folder| ("SLUICE_SERVICES_TLS", folder)));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        eprintln!("tests/services {arguments:?}: {}", text(&output.stderr));
    }
    text(&output.stdout)
}

/// Settings of what a test runs on: the embedded default; and Postgres and RabbitMQ, both of its own,
/// where there are such servers.
pub(crate) async fn backends() -> Vec<Vec<(&'static str, String)>> {
    let mut all = vec![Vec::new()];
    if let (Some(broker), Some(database)) = (Broker::shared(), fresh_database().await) {
        let vhost = broker.vhost().await;
        all.push(vec![("SLUICE_DATABASE", database), ("SLUICE_QUEUE", vhost.url)]);
    }
    all
}
