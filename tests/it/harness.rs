//! Starts the real binary in a folder of its own, with simulated deployments beside it.

use crate::proxy::Proxy;
use anyhow::{Context, bail};
use reqwest::Client;
use rustix::process::Signal;
use serde_json::{Value, json};
use simulator::{Config, DeploymentConfig, EntraConfig, Running, ScriptedAnswer};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The longest that anything in a test may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test, built beside the test by `tests/run`.
pub(crate) fn binary() -> PathBuf {
    // Figures are those of a release build, which is elsewhere.
    if let Some(path) = std::env::var_os("SLUICE_TEST_BINARY") {
        return path.into();
    }
    let mut path = std::env::current_exe().expect("a test knows its own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let path = path.join("sluice");
    assert!(path.exists(), "{} is missing: run ./tests/run", path.display());
    path
}

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository exists")
}

/// The bytes of one of our own documents.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = repository().join("fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A deployment without latency that is never the bottleneck.
pub(crate) fn fast(name: &str) -> DeploymentConfig {
    deployment(json!({
        "name": name, "model": "gpt-4o", "tokens_per_minute": 100_000_000, "requests_per_minute": 600_000,
        "latency": { "ttft_ms": [0, 0], "tokens_per_second": [1e9, 1e9], "rejection_ms": [0, 0] },
    }))
}

/// A deployment that takes so many milliseconds, so that kills hit calls, and is never the
/// bottleneck otherwise.
pub(crate) fn slow(ttft_ms: [u64; 2]) -> DeploymentConfig {
    deployment(json!({
        "name": "sweden", "model": "gpt-4o", "tokens_per_minute": 100_000_000, "requests_per_minute": 600_000,
        "latency": { "ttft_ms": ttft_ms, "tokens_per_second": [5000.0, 9000.0], "rejection_ms": [0, 0] },
    }))
}

/// A deployment as its configuration says.
pub(crate) fn deployment(config: Value) -> DeploymentConfig {
    serde_json::from_value(config).expect("the configuration of a simulated deployment")
}

/// A deployment as [`fast`], with faults.
pub(crate) fn faulty(name: &str, faults: Value) -> DeploymentConfig {
    DeploymentConfig {
        faults: serde_json::from_value(faults).expect("faults of a deployment"),
        ..fast(name)
    }
}

/// A place where Sluice runs: a folder, simulated deployments, a configuration.
pub(crate) struct Place {
    pub folder: TempDir,
    pub simulation: Running,
    pub http: Client,
    /// Settings for every process that starts here, over those of the file.
    pub settings: Vec<(&'static str, String)>,
    port: u16,
}

impl Place {
    /// With these deployments, and these lines added to the configuration (sections first seen
    /// there; `[worker]` is open).
    pub(crate) async fn new(deployments: Vec<DeploymentConfig>, worker: &str) -> Self {
        Self::scripted(deployments, json!([]), worker).await
    }

    /// As [`Place::new`], with answers that stand in files (`answers` of the simulator).
    pub(crate) async fn scripted(
        deployments: Vec<DeploymentConfig>,
        answers: Value,
        worker: &str,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let answers = serde_json::from_value(answers).expect("scripted answers");
        Self::within(folder, Config { deployments, answers, ..Config::demo() }, worker).await
    }

    /// With deployments that want tokens, and who issues them.
    pub(crate) async fn with_tokens(
        deployments: Vec<DeploymentConfig>,
        entra: EntraConfig,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::within(folder, Config { deployments, entra, ..Config::demo() }, "").await
    }

    /// With one deployment that answers in these words, whatever it is asked.
    pub(crate) async fn answering(answer: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("answer.json");
        std::fs::write(&file, answer).expect("the answer");
        let answer = ScriptedAnswer { when_text: "<document>".to_owned(), file };
        let (deployments, answers) = (vec![fast("sweden")], vec![answer]);
        Self::within(folder, Config { deployments, answers, ..Config::demo() }, "").await
    }

    async fn within(folder: TempDir, config: Config, worker: &str) -> Self {
        let simulation = simulator::start(config.clone()).await.expect("the simulator starts");
        let concurrency = if worker.contains("concurrency") { "" } else { "concurrency = 8" };
        let port = free_port();
        let mut text = format!(
            "listen = \"127.0.0.1:{port}\"\nstorage = \"dir:{0}/blobs\"\n\
             database = \"sqlite:{0}/sluice.db\"\n[limits]\nsize_bytes_max = 700000000\n\
             [worker]\nlease_seconds = 3\nsweep_seconds = 1\n{concurrency}\n{worker}\n",
            folder.path().display()
        );
        // Else it would depend on the machine whether there is OCR. What a test adds is of the last
        // deployment.
        if !text.contains("[text]") {
            text.push_str("[text]\nscans = \"fail\"\n");
        }
        for deployment in &config.deployments {
            let model = deployment.model.as_deref().unwrap_or(&deployment.name);
            let auth = match deployment.entra_scope {
                Some(_) => "auth = \"entra\"",
                None => "api_key = \"key-of-a-test\"",
            };
            text.push_str(&format!(
                "[[deployments]]\nname = \"{0}\"\nmodel = \"{model}\"\nprovider = \"azure\"\n\
                 endpoint = \"{1}\"\ndeployment = \"{0}\"\n{auth}\n\
                 tokens_per_minute = {2}\nrequests_per_minute = {3}\nconcurrency_max = 256\n\
                 input_price_per_million = 2.0\noutput_price_per_million = 8.0\n",
                deployment.name,
                simulation.url(),
                deployment.tokens_per_minute,
                deployment.requests_per_minute,
            ));
        }
        std::fs::write(folder.path().join("sluice.toml"), text).expect("the configuration");
        Self { folder, simulation, http: Client::new(), settings: Vec::new(), port }
    }

    /// Keeps bytes elsewhere than in the folder.
    pub(crate) fn store_in(&self, storage: &str) {
        let path = self.folder.path().join("sluice.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        let line = |line: &str| match line.starts_with("storage = ") {
            true => format!("storage = \"{storage}\"\n"),
            false => format!("{line}\n"),
        };
        std::fs::write(path, text.lines().map(line).collect::<String>()).expect("it is written");
    }

    /// Reaches all deployments at another address, for processes that start afterwards.
    pub(crate) fn reach_at(&self, url: &str) {
        let path = self.folder.path().join("sluice.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        std::fs::write(path, text.replace(&self.simulation.url(), url)).expect("the configuration");
    }

    /// Puts lines before all sections of the configuration: they count when a process starts.
    pub(crate) fn configure(&self, lines: &str) {
        let path = self.folder.path().join("sluice.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        std::fs::write(path, format!("{lines}\n{text}")).expect("the configuration");
    }

    /// Puts a wire before a deployment, for processes that start afterwards.
    pub(crate) async fn wire(&self, deployment: &str) -> Proxy {
        let url = self.simulation.url();
        let proxy = Proxy::start(url.strip_prefix("http://").expect("an address")).await;
        let path = self.folder.path().join("sluice.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        let name = format!("\ndeployment = \"{deployment}\"");
        let section = |section: &str| match section.contains(&name) {
            true => section.replace(&url, &format!("http://{}", proxy.address)),
            false => section.to_owned(),
        };
        let sections: Vec<_> = text.split("[[deployments]]").map(section).collect();
        std::fs::write(path, sections.join("[[deployments]]")).expect("the configuration");
        proxy
    }

    /// The uploader's address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Starts `sluice ROLE` and does not wait.
    pub(crate) fn spawn(&self, role: &str, environment: &[(&str, &str)]) -> Process {
        let log = self.folder.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a log");
        let mut command = sluice();
        command
            .arg("--config")
            .arg(self.folder.path().join("sluice.toml"))
            .arg(role)
            .current_dir(self.folder.path())
            .env("SLUICE_LOG", "info")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(log);
        Process { child: command.spawn().expect("the binary starts") }
    }

    /// Starts `sluice ROLE` and waits until the uploader answers.
    pub(crate) async fn start(&self, role: &str) -> Process {
        self.start_with(role, &[]).await
    }

    /// Starts `sluice ROLE` with these variables and waits until the uploader answers.
    pub(crate) async fn start_with(&self, role: &str, environment: &[(&str, &str)]) -> Process {
        let mut process = self.spawn(role, environment);
        tokio::select! {
            () = self.ready() => process,
            status = process.child.wait() => panic!("it ended with {status:?}:\n{}", self.log()),
        }
    }

    /// Waits until the uploader answers.
    pub(crate) async fn ready(&self) {
        let ready = async || {
            let answer = self.http.get(self.url("/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status().is_success()).then_some(())
        };
        until("the uploader answers", ready).await;
    }

    /// Uploads bytes and gives the document.
    pub(crate) async fn upload(&self, name: &str, schema: &str, bytes: Vec<u8>) -> Value {
        self.try_upload(name, schema, bytes).await.expect("an upload")
    }

    /// Uploads bytes, and may fail because the uploader was killed.
    pub(crate) async fn try_upload(
        &self,
        name: &str,
        schema: &str,
        bytes: Vec<u8>,
    ) -> anyhow::Result<Value> {
        let url = self.url("/v1/documents");
        let request = self.http.post(url).query(&[("schema", schema), ("filename", name)]);
        let answer = request.body(bytes).send().await?;
        let status = answer.status();
        let body: Value = answer.json().await.context("the answer is JSON")?;
        if status != 202 {
            bail!("{status}: {body}");
        }
        Ok(body)
    }

    /// Keeps a schema under this name.
    pub(crate) async fn put_schema(&self, name: &str, body: &Value) {
        let url = self.url(&format!("/v1/schemas/{name}"));
        let answer = self.http.put(url).json(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.expect("text"));
    }

    /// Gets JSON, whatever the status.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(self.url(path)).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Waits for the end of a document that may take so much longer than others.
    pub(crate) async fn ended_after(&self, document: &Value, longer: Duration) {
        let path = self.url(&format!("/v1/documents/{}?wait=5", id(document)));
        let begun = Instant::now();
        while begun.elapsed() < longer {
            let answer = self.http.get(&path).send().await.expect("an answer");
            let document: Value = answer.json().await.expect("JSON");
            if !matches!(document["state"].as_str(), Some("queued" | "processing")) {
                return;
            }
        }
    }

    /// The document once it has ended.
    pub(crate) async fn ended(&self, document: &Value) -> Value {
        let id = document["id"].as_str().expect("a document has an id");
        let ended = async || {
            let answer =
                self.http.get(self.url(&format!("/v1/documents/{id}?wait=5"))).send().await;
            let document: Value = answer.ok()?.json().await.ok()?;
            let open = matches!(document["state"].as_str(), Some("queued" | "processing") | None);
            (!open).then_some(document)
        };
        let what = format!("{id} ends");
        until_or(&what, ended, || self.log().lines().rev().take(40).collect::<Vec<_>>().join("\n"))
            .await
    }

    /// The extraction of a document that succeeds.
    pub(crate) async fn extraction(&self, document: &Value) -> Value {
        let ended = self.ended(document).await;
        assert_eq!(ended["state"], "succeeded", "{ended}\n{}", self.log());
        self.get(&format!("/v1/documents/{}/result", id(document))).await
    }

    /// What the processes have logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The counters of one simulated deployment.
    pub(crate) async fn stats(&self, deployment: &str) -> Value {
        let url = format!("{}/simulator/stats", self.simulation.url());
        let stats: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        stats["deployments"][deployment].clone()
    }

    /// What has happened to tokens.
    pub(crate) async fn tokens(&self) -> Value {
        let url = format!("{}/simulator/stats", self.simulation.url());
        let stats: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        stats["tokens"].clone()
    }

    /// Begins the simulation anew: its time, its limits and its counters.
    pub(crate) async fn reset(&self) {
        let url = format!("{}/simulator/reset", self.simulation.url());
        let answer = self.http.post(url).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// How often each prompt was paid, over all deployments.
    pub(crate) async fn paid(&self) -> std::collections::BTreeMap<String, u64> {
        let url = format!("{}/simulator/stats", self.simulation.url());
        let stats: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let mut paid = std::collections::BTreeMap::new();
        for deployment in stats["deployments"].as_object().into_iter().flat_map(|d| d.values()) {
            for (prompt, calls) in deployment["calls_by_prompt"].as_object().into_iter().flatten() {
                *paid.entry(prompt.clone()).or_insert(0) += calls.as_u64().unwrap_or_default();
            }
        }
        paid
    }
}

/// A text document that no other is equal to.
pub(crate) fn letter(number: usize) -> Vec<u8> {
    format!(
        "Bolt & Sons Ltd\n\nInvoice No.: F-{number:04}\nInvoice date: 2024-03-05\nCurrency: EUR\n\n\
         Description   Quantity   Unit price   Amount\nBolts   {number}   1.00   {number}.00\n\n\
         Subtotal   {number}.00\nVAT 0 %   0.00\nTotal   {number}.00\n"
    )
    .into_bytes()
}

/// The id of a document.
pub(crate) fn id(document: &Value) -> &str {
    document["id"].as_str().expect("a document has an id")
}

/// A running `sluice`; killed when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process id"), signal).expect("a signal");
    }

    /// Whether every thread of it has stopped (proc(5): the state follows the name in parentheses).
    pub(crate) fn sleeps(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("its threads");
        threads.flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// SIGTERM, and its exit status.
    pub(crate) async fn terminate(mut self) -> std::process::ExitStatus {
        self.signal(Signal::TERM);
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("a status")
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_some()
    }
}

/// Asks again until there is an answer; fails the test when there is none in [`PATIENCE`].
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    until_or(what, ask, String::new).await
}

/// As [`until`], and says more when it fails.
async fn until_or<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Option<T>,
    more: impl Fn() -> String,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}\n{}", more());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A port of the loopback address that nobody uses now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The binary under test, without the settings and keys of whoever runs the tests.
fn sluice() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["SLUICE_", "OPENAI_", "AZURE_", "IDENTITY_", "AWS_"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            command.env_remove(name.as_ref());
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command of the binary to its end: exit code, stdout, stderr.
pub(crate) async fn run(
    arguments: &[&str],
    folder: &Path,
    environment: &[(&str, &str)],
) -> (i32, String, String) {
    let mut command = sluice();
    command.args(arguments).current_dir(folder);
    command.envs(environment.iter().copied());
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends");
    let output = output.expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}
