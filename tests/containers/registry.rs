//! Images of a registry that wants to know who asks: pulled with what Docker's own configuration holds, refused
//! without it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Who may pull.
const WHO: &str = "drill:rehearsal";

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry with one image, `shop/redis:1`, in the words of its protocol that an engine needs for a pull.
struct Registry {
    address: SocketAddr,
    folder: PathBuf,
}

/// What it serves, by path: of which type, and what.
type Served = Arc<BTreeMap<String, (&'static str, Vec<u8>)>>;

impl Registry {
    fn open() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("registry-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(folder.join("tmp")).unwrap();
        let served: Served = Arc::new(image(&folder));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the test's process; each connection with the engine that opened it, or after its patience.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let served = Arc::clone(&served);
                thread::spawn(move || answer_all(client, &served));
            }
        });
        Self { address, folder }
    }

    fn image(&self) -> String {
        format!("{}/shop/redis:1", self.address)
    }

    /// Runs a scenario on a stack of that image, with this as Docker's configuration.
    fn run(&self, configuration: &Value) -> Output {
        let stack = format!(
            "stack: private\nservices:\n  redis:\n    image: {}\n    command: redis-server --save ''\n    \
             ports: {{ redis: 6379 }}\n",
            self.image()
        );
        let scenario = "scenario: private\nstack: stack.yaml\nsteps:\n  \
                        - tcp: { address: \"${service.redis.redis}\", exchange: [{ send: \"PING\\r\\n\" }, { receive: contains PONG }] }\n    \
                        within: 20s\n";
        let helper = "#!/bin/sh\nread server\n\
                      echo \"{\\\"ServerURL\\\": \\\"$server\\\", \\\"Username\\\": \\\"drill\\\", \\\"Secret\\\": \\\"rehearsal\\\"}\"\n";
        for (name, text) in [
            ("stack.yaml", stack.as_str()),
            ("scenario.yaml", scenario),
            ("config.json", &configuration.to_string()),
            ("docker-credential-drill", helper),
        ] {
            std::fs::write(self.folder.join(name), text).unwrap();
        }
        let helper = self.folder.join("docker-credential-drill");
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(["run", "--no-save", "--runtime", "containers", "scenario.yaml"]);
        command.current_dir(&self.folder).env("TMPDIR", self.folder.join("tmp")).stdin(Stdio::null());
        command.env("DOCKER_CONFIG", &self.folder).env_remove("DOCKER_AUTH_CONFIG").env("PATH", path);
        command.output().unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force", &self.image()]).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The image of Redis that `ci/images.sh` builds, under another digest than the one that the engine has.
fn image(folder: &Path) -> BTreeMap<String, (&'static str, Vec<u8>)> {
    let saved = folder.join("saved");
    std::fs::create_dir_all(&saved).unwrap();
    let mut save =
        Command::new("docker").args(["save", super::REDIS]).stdout(Stdio::piped()).spawn().unwrap();
    let mut untar = Command::new("tar");
    untar.args(["-x", "-C"]).arg(&saved).stdin(save.stdout.take().unwrap());
    assert!(untar.status().unwrap().success() && save.wait().unwrap().success());
    let read = |name: &Value| std::fs::read(saved.join(name.as_str().unwrap())).unwrap();
    let list: Value = serde_json::from_slice(&read(&json!("manifest.json"))).unwrap();

    let mut configuration: Value = serde_json::from_slice(&read(&list[0]["Config"])).unwrap();
    configuration["config"]["Labels"]["firedrill.test"] = json!(folder.display().to_string());
    let mut served = BTreeMap::new();
    let mut blob = |bytes: Vec<u8>, kind: &str| {
        let (digest, size) = (digest(&bytes), bytes.len());
        served.insert(format!("/v2/shop/redis/blobs/{digest}"), ("application/octet-stream", bytes));
        json!({ "mediaType": kind, "size": size, "digest": digest })
    };
    let configuration =
        blob(configuration.to_string().into_bytes(), "application/vnd.docker.container.image.v1+json");
    let layers = list[0]["Layers"].as_array().unwrap().iter();
    let layers: Vec<_> =
        layers.map(|layer| blob(read(layer), "application/vnd.docker.image.rootfs.diff.tar.gzip")).collect();
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": layers });
    let manifest = manifest.to_string().into_bytes();
    served.insert(format!("/v2/shop/redis/manifests/{}", digest(&manifest)), (MANIFEST, manifest.clone()));
    served.insert("/v2/shop/redis/manifests/1".to_owned(), (MANIFEST, manifest));
    served.insert("/v2/".to_owned(), ("application/json", b"{}".to_vec()));
    std::fs::remove_dir_all(&saved).unwrap();
    served
}

fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Answers what comes over one connection, until it is closed or silent for long.
fn answer_all(mut client: TcpStream, served: &Served) -> Option<()> {
    client.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let permitted = format!("authorization: basic {}", BASE64_STANDARD.encode(WHO)).to_ascii_lowercase();
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        let mut words = head.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let known = head.to_ascii_lowercase().lines().any(|line| line == permitted);
        let (status, extra, kind, body) = match served.get(path) {
            _ if !known => {
                let who = "www-authenticate: Basic realm=\"shop\"\r\n".to_owned();
                let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
                ("401 Unauthorized", who, "application/json", body.to_vec())
            }
            Some((kind, body)) => {
                ("200 OK", format!("docker-content-digest: {}\r\n", digest(body)), *kind, body.clone())
            }
            None => ("404 Not Found", String::new(), "application/json", b"{}".to_vec()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ndocker-distribution-api-version: registry/2.0\r\n{extra}content-type: {kind}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        client.write_all(head.as_bytes()).ok()?;
        if method != "HEAD" {
            client.write_all(&body).ok()?;
        }
    }
}

#[rstest]
#[case::kept_in_the_file(|server: &str| json!({ "auths": { server: { "auth": BASE64_STANDARD.encode(WHO) } } }))]
#[case::kept_by_a_helper(|server: &str| json!({ "credHelpers": { server: "drill" } }))]
#[case::kept_by_a_store(|_: &str| json!({ "credsStore": "drill" }))]
#[ignore = "needs a container engine"]
fn a_private_image_is_pulled_with_credentials(#[case] configuration: impl Fn(&str) -> Value) {
    let registry = Registry::open();
    let output = registry.run(&configuration(&registry.address.to_string()));
    let said = super::runs::told(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let note = format!("image `{}` is not on this machine: it is pulled", registry.image());
    assert!(said.contains(&note), "{said}");
}

#[rstest]
#[case::none(|_: &str| json!({}))]
#[case::those_of_another(|_: &str| json!({ "auths": { "registry.test": { "auth": BASE64_STANDARD.encode(WHO) } } }))]
#[case::wrong(|server: &str| json!({ "auths": { server: { "auth": BASE64_STANDARD.encode("drill:guess") } } }))]
#[case::no_such_helper(|server: &str| json!({ "credHelpers": { server: "nowhere" } }))]
#[ignore = "needs a container engine"]
fn a_private_image_without_credentials_says_how_to_have_it(#[case] configuration: impl Fn(&str) -> Value) {
    let registry = Registry::open();
    let output = registry.run(&configuration(&registry.address.to_string()));
    let said = super::runs::told(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(4), "{said}");
    let (image, address) = (registry.image(), registry.address);
    assert!(
        said.contains(&format!("image `{image}` is not on this machine and cannot be pulled: ")),
        "{said}"
    );
    assert!(said.contains(&format!("(`docker login {address}` enters it)")), "{said}");
    assert!(!said.contains("guess"), "{said}");
}
