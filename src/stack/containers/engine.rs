//! The container engine: where it is, whether it will do, and one bounded way to ask anything of it.

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::core::client::docker_client_instance;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::{Error, one_line};
use super::network::home;

/// How long an engine has to say what it is.
const GREETING: Duration = Duration::from_secs(5);

/// How long it has for anything else; a busy machine starts a container in a second or two.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Docker Engine 20.10's, the first that knows `host-gateway`.
const LEAST_API: (u32, u32) = (1, 41);

/// A container engine that answers: Docker's, or another that speaks its API.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    /// Where it listens, as `unix:///…` or `tcp://…`.
    pub(super) host: String,
    /// The address at which the ports that it publishes are reached.
    pub(super) reach: IpAddr,
    /// Where this process lives, as the labels have it.
    pub(super) home: String,
    /// Whether the bridge of a network, and the address that this machine has on it, comes with the first container.
    pub(super) bridges_come_later: bool,
    /// What it says it is.
    version: String,
}

impl Engine {
    /// Finds the engine that `DOCKER_HOST` names, or else the one at the usual places, and asks what it is.
    ///
    /// # Errors
    /// When none answers, it is not for this user, or it is too old.
    pub async fn connect() -> Result<Self, Error> {
        let host = usual_host();
        // Its own look at the environment comes to the same place; asking it keeps the two together.
        let docker = match docker_client_instance().await {
            Ok(docker) => docker,
            Err(_) if podman_socket().is_some() => return Err(Error::Absent { host: beside_podman(&host) }),
            Err(_) => return Err(Error::Absent { host }),
        };
        Self::greet(docker, host).await
    }

    /// The engine that listens at `host`, whatever the environment says.
    ///
    /// # Errors
    /// As for [`Engine::connect`].
    pub async fn at(host: &str) -> Result<Self, Error> {
        let docker =
            Docker::connect_with_host(host).map_err(|error| Error::of(&error, host, "connecting"))?;
        Self::greet(docker, host.to_owned()).await
    }

    /// What it says it is, such as `Docker 20.10.24`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where it listens.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    async fn greet(docker: Docker, host: String) -> Result<Self, Error> {
        let reach = reach(&host).await;
        let engine =
            Self { docker, host, reach, home: home(), bridges_come_later: false, version: String::new() };
        let said = engine.ask_within(GREETING, "asking what it is", engine.docker.version()).await;
        // Nobody listens at a socket that was left behind.
        let said = said.map_err(Error::never_there)?;
        let api = said.api_version.unwrap_or_default();
        if parse_api(&api).is_none_or(|api| api < LEAST_API) {
            let least = format!("{}.{}", LEAST_API.0, LEAST_API.1);
            let api = if api.is_empty() { "unknown".to_owned() } else { one_line(&api) };
            return Err(Error::TooOld { host: engine.host, api, least });
        }
        let is_podman = said.components.iter().flatten().any(|component| component.name.contains("Podman"));
        let kind = if is_podman { "Podman" } else { "Docker" };
        let version = format!("{kind} {}", one_line(&said.version.unwrap_or_default()));
        let bridges_come_later = is_podman && lays_networks_here(&engine.host).await;
        Ok(Self { bridges_come_later, version, ..engine })
    }

    /// The address of its machine that it is to publish ports on: nobody else's business, where that is ours.
    pub(super) fn publish_on(&self) -> &'static str {
        if self.reach.is_loopback() { "127.0.0.1" } else { "0.0.0.0" }
    }

    /// One call, with its limit of time; `doing` completes "while …".
    pub(super) async fn ask<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, Error> {
        self.ask_within(PATIENCE, doing, call).await
    }

    /// One call that may take as long as `limit`.
    pub(super) async fn ask_within<T>(
        &self,
        limit: Duration,
        doing: &str,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, Error> {
        match timeout(limit, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(EngineError::RequestTimeoutError)) | Err(_) => {
                Err(Error::Slow { host: self.host.clone(), limit, doing: doing.to_owned() })
            }
            Ok(Err(error)) => Err(Error::of(&error, &self.host, doing)),
        }
    }

    /// One call after which something is to be gone; that it is gone already is as good.
    pub(super) async fn ask_away(
        &self,
        doing: &str,
        call: impl Future<Output = Result<(), EngineError>>,
    ) -> Result<(), Error> {
        let forgiving = async {
            match call.await {
                Err(error) if Error::is_missing(&error) || is_under_way(&error) => Ok(()),
                answer => answer,
            }
        };
        self.ask(doing, forgiving).await
    }
}

/// Whether who listens at a socket lays networks among the interfaces that this process has: root does, in the same
/// namespace; other users have namespaces of their own for it.
async fn lays_networks_here(host: &str) -> bool {
    let Some(path) = host.strip_prefix("unix://") else { return false };
    let Ok(Ok(stream)) = timeout(GREETING, UnixStream::connect(path)).await else { return false };
    let Ok(peer) = stream.peer_cred() else { return false };
    let space = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let theirs = peer.pid().and_then(|pid| space(&pid.to_string()));
    peer.uid() == 0 && theirs.is_some() && theirs == space("self")
}

/// Where the engine's machine is: this one, unless it listens elsewhere.
async fn reach(host: &str) -> IpAddr {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(url) = url::Url::parse(host) else { return here };
    let Some(name) = url.host_str().filter(|name| !name.is_empty()) else { return here };
    match timeout(GREETING, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(mut found)) => found.next().map_or(here, |address| address.ip()),
        // The first call says that there is no such machine.
        Ok(Err(_)) | Err(_) => here,
    }
}

/// Whether the engine is at it already, on behalf of somebody else.
fn is_under_way(error: &EngineError) -> bool {
    matches!(error, EngineError::DockerResponseServerError { status_code: 409, message }
        if message.contains("already in progress"))
}

/// `1.41` as numbers.
fn parse_api(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Where the engine is that testcontainers will use: by the same rules, for our messages.
fn usual_host() -> String {
    if let Some(host) = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        return host;
    }
    let runtime = env::var("XDG_RUNTIME_DIR").unwrap_or_default();
    let home = env::var("HOME").unwrap_or_default();
    let usual = [
        "/var/run/docker.sock".to_owned(),
        format!("{runtime}/.docker/run/docker.sock"),
        format!("{home}/.docker/run/docker.sock"),
        format!("{home}/.docker/desktop/docker.sock"),
    ];
    let there = usual.iter().find(|path| Path::new(path).exists()).unwrap_or(&usual[0]);
    format!("unix://{there}")
}

/// A Podman that could be used, if `DOCKER_HOST` said so.
fn podman_socket() -> Option<String> {
    let runtime = env::var("XDG_RUNTIME_DIR").unwrap_or_default();
    let usual = [format!("{runtime}/podman/podman.sock"), "/run/podman/podman.sock".to_owned()];
    usual.into_iter().find(|path| Path::new(path).exists())
}

fn beside_podman(host: &str) -> String {
    let podman = podman_socket().unwrap_or_default();
    format!("{host} (Podman's socket is there: DOCKER_HOST=unix://{podman})")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rstest::rstest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    #[rstest]
    #[case::docker("1.41", Some((1, 41)))]
    #[case::newer("1.100", Some((1, 100)))]
    #[case::nothing("", None)]
    #[case::words("latest", None)]
    fn an_api_version_is_two_numbers(#[case] text: &str, #[case] numbers: Option<(u32, u32)>) {
        assert_eq!(parse_api(text), numbers);
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_no_engine() {
        let error = Engine::at("unix:///nowhere/docker.sock").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no container engine answers at unix:///nowhere/docker.sock: start one, set DOCKER_HOST to where it \
             is, or say `--runtime processes`"
        );
    }

    #[tokio::test]
    async fn a_socket_at_which_nobody_listens_is_no_engine() {
        let socket = Socket::new("left-behind");
        drop(UnixListener::bind(&socket.0).unwrap());
        let error = Engine::at(&socket.host()).await.unwrap_err();
        assert!(matches!(error, Error::Absent { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_engine_that_hangs_up_is_no_engine() {
        let socket = Socket::new("hangs-up");
        let listener = UnixListener::bind(&socket.0).unwrap();
        let host = socket.host();
        let (answer, engine) = tokio::join!(listener.accept(), Engine::at(&host));
        drop(answer);
        assert!(engine.is_err());
    }

    #[tokio::test]
    async fn an_old_engine_is_refused_by_its_version() {
        let socket = Socket::new("old");
        let listener = UnixListener::bind(&socket.0).unwrap();
        let body = r#"{"Version":"19.03.15","ApiVersion":"1.40"}"#;
        let serve = serve_once(&listener, body);
        let host = socket.host();
        let (engine, ()) = tokio::join!(Engine::at(&host), serve);
        let told = engine.unwrap_err().to_string().replace(&host, "HOST");
        assert_eq!(
            told,
            "the container engine at HOST speaks version 1.40 of the API, and stacks need 1.41 (Docker Engine \
             20.10, Podman 4)"
        );
    }

    #[tokio::test]
    async fn an_engine_that_dies_is_told_from_one_that_refuses() {
        let socket = Socket::new("dies");
        let listener = UnixListener::bind(&socket.0).unwrap();
        let body = r#"{"Version":"20.10.24","ApiVersion":"1.41"}"#;
        let host = socket.host();
        let (engine, ()) = tokio::join!(Engine::at(&host), serve_once(&listener, body));
        let engine = engine.unwrap();
        assert_eq!(engine.version(), "Docker 20.10.24");

        let refusal = async { serve(&listener, "409 Conflict", r#"{"message":"no,\n not now."}"#).await };
        let (refused, ()) =
            tokio::join!(engine.ask("pausing `web`", engine.docker.pause_container("web")), refusal);
        let told = refused.unwrap_err().to_string();
        assert_eq!(told, "the container engine refuses, while pausing `web`: no, not now");

        drop(listener);
        let gone = engine.ask("pausing `web`", engine.docker.pause_container("web")).await.unwrap_err();
        assert!(gone.is_lost(), "{gone}");
        assert_eq!(
            gone.to_string().replace(&host, "HOST"),
            "the container engine at HOST does not answer any more: Connection refused (os error 111), while \
             pausing `web`"
        );
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn root_lays_networks_where_it_lives() {
        let socket = Socket::new("beside");
        let _listener = UnixListener::bind(&socket.0).unwrap();
        assert_eq!(lays_networks_here(&socket.host()).await, rustix::process::geteuid().is_root());
        assert!(!lays_networks_here("unix:///nowhere/docker.sock").await);
        assert!(!lays_networks_here("tcp://127.0.0.1:2375").await);
    }

    async fn serve_once(listener: &UnixListener, body: &str) {
        serve(listener, "200 OK", body).await;
    }

    /// Answers one request on one connection.
    async fn serve(listener: &UnixListener, status: &str, body: &str) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut some = [0; 1024];
            let read = stream.read(&mut some).await.unwrap();
            request.extend_from_slice(&some[..read]);
        }
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).await.unwrap();
    }

    struct Socket(PathBuf);

    impl Socket {
        fn new(name: &str) -> Self {
            Self(env::temp_dir().join(format!("firedrill-{}-{name}.sock", std::process::id())))
        }

        fn host(&self) -> String {
            format!("unix://{}", self.0.display())
        }
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
