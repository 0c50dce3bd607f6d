//! One service in a container: started, reached, stopped, and gone when its guard is.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use testcontainers::bollard::models::{HostConfig, HostConfigLogConfig, PortBinding};
use testcontainers::bollard::query_parameters::RemoveContainerOptionsBuilder;
use testcontainers::core::{AccessMode, Host, IntoContainerPort as _, Mount};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ContainerRequest, CopyTargetOptions, GenericImage, ImageExt as _};
use tokio::time::{sleep, timeout};

use super::engine::{Engine, PATIENCE};
use super::error::Error;
use super::follow::Following;
use super::health::Check;
use super::image::named;
use super::network::Network;
use crate::stack::processes::log::Log;

/// What is to run in a container.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The run that it belongs to.
    pub run: String,
    /// The service.
    pub name: String,
    /// The image, by the name that this machine has it by.
    pub image: String,
    /// What begins the command in place of the image's own entry point.
    pub entrypoint: Option<String>,
    /// The command; the image's own where this is empty.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Files it is given: path, and what is in it.
    pub files: Vec<(String, Vec<u8>)>,
    /// Folders that it may write to, empty at first.
    pub folders: Vec<String>,
    /// Folders and files of this machine, and volumes, that it shares.
    pub mounts: Vec<Mounted>,
    /// Ports it listens on.
    pub ports: Vec<u16>,
    /// Names that it finds at these addresses.
    pub hosts: Vec<(String, IpAddr)>,
    /// Who it runs as, where the image does not say so.
    pub user: Option<String>,
    /// Where it runs, likewise.
    pub folder: Option<String>,
    /// How the engine sees whether it is well, likewise.
    pub check: Option<Check>,
    /// A folder of the run, where what is made on the way is put.
    pub scratch: PathBuf,
}

/// Something that a container shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// A path of this machine, or the name of a volume.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Whether the source is a volume.
    pub is_volume: bool,
    /// Whether it may only be read.
    pub read_only: bool,
}

/// A container that is there; dropped, it is removed.
#[derive(Debug)]
pub struct Container {
    pub(super) engine: Engine,
    pub(super) id: String,
    /// The service.
    pub name: String,
    network: Network,
    /// The ports it was started with.
    exposed: Vec<u16>,
    ports: BTreeMap<u16, SocketAddr>,
    log: Arc<Log>,
    following: Following,
    guard: Option<ContainerAsync<GenericImage>>,
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, paused or not.
    Running {
        /// The first process, by its number on the engine's machine.
        pid: u32,
        /// Whether it is frozen.
        paused: bool,
        /// What its own check says, where it has one.
        healthy: Option<bool>,
    },
    /// It has ended.
    Ended {
        /// With this status.
        status: i64,
        /// Whether for want of memory.
        out_of_memory: bool,
    },
}

/// Between two looks at a container that is about to change.
const MOMENT: Duration = Duration::from_millis(10);

/// How much of a container's output the engine itself keeps.
const ENGINE_LOG: [(&str, &str); 2] = [("max-size", "8m"), ("max-file", "2")];

impl Engine {
    /// Starts a container on a network of the run. That it is ready is another question.
    ///
    /// # Errors
    /// When there is no image, or the engine refuses.
    pub async fn start(
        &self,
        request: &Request,
        network: &Network,
        log: Arc<Log>,
    ) -> Result<Container, Error> {
        self.fetch(&request.image).await?;
        let folder = EmptyFolder::within(&request.scratch, &request.name)?;
        let asked = self.arrange(request, network, &folder.0);
        let doing = format!("starting `{}`", request.name);
        // Should this be given up on its way, the run's label leads to what there is of it.
        let started = timeout(PATIENCE, asked.start()).await.map_err(|_| Error::Slow {
            host: self.host.clone(),
            limit: PATIENCE,
            doing: doing.clone(),
        })?;
        let guard = started.map_err(|error| Error::of_started(&error, &self.host, &doing))?;
        let id = guard.id().to_owned();
        let following = Following::start(self, &id, Arc::clone(&log), 0);
        let mut container = Container {
            engine: self.clone(),
            id,
            name: request.name.clone(),
            network: network.clone(),
            exposed: request.ports.clone(),
            ports: BTreeMap::new(),
            log,
            following,
            guard: Some(guard),
        };
        container.find_ports().await?;
        Ok(container)
    }

    /// The request in testcontainers' words.
    fn arrange(&self, request: &Request, network: &Network, empty: &Path) -> ContainerRequest<GenericImage> {
        // Where the network is of this machine nothing need be published, and no port of it is taken.
        let published: &[u16] = if network.is_here { &[] } else { &request.ports };
        let image =
            published.iter().fold(named(&request.image), |image, port| image.with_exposed_port(port.tcp()));
        let image = match &request.entrypoint {
            Some(program) => image.with_entrypoint(program),
            None => image,
        };
        let published = publish(published, self.publish_on());
        let mut asked = image
            .with_container_name(format!("firedrill-{}-{}", request.run, request.name))
            .with_network(&network.name)
            .with_hostname(&request.name)
            .with_labels(self.labels(&request.run))
            .with_startup_timeout(PATIENCE)
            .with_cmd(&request.command)
            .with_host_config_modifier(move |config| adjust(config, &published));
        if let Some(user) = &request.user {
            asked = asked.with_user(user);
        }
        if let Some(folder) = &request.folder {
            asked = asked.with_working_dir(folder);
        }
        if let Some(check) = &request.check {
            asked = asked.with_health_check(check.for_engine());
        }
        asked = request.env.iter().fold(asked, |asked, (name, value)| asked.with_env_var(name, value));
        asked = request.hosts.iter().fold(asked, |asked, (name, at)| asked.with_host(name, Host::Addr(*at)));
        asked = request.mounts.iter().fold(asked, |asked, mount| asked.with_mount(mount.for_engine()));
        asked = request.folders.iter().fold(asked, |asked, path| asked.with_copy_to(path, empty));
        request.files.iter().fold(asked, |asked, (path, bytes)| {
            asked.with_copy_to(CopyTargetOptions::new(path).with_mode(0o644), bytes.clone())
        })
    }
}

impl Mounted {
    fn for_engine(&self) -> Mount {
        let mount = if self.is_volume {
            Mount::volume_mount(&self.source, &self.target)
        } else {
            Mount::bind_mount(&self.source, &self.target)
        };
        if self.read_only { mount.with_access_mode(AccessMode::ReadOnly) } else { mount }
    }
}

/// Each port at a free one of an address of this machine.
fn publish(ports: &[u16], on: &str) -> HashMap<String, Option<Vec<PortBinding>>> {
    let free = PortBinding { host_ip: Some(on.to_owned()), host_port: Some(String::new()) };
    ports.iter().map(|port| (format!("{port}/tcp"), Some(vec![free.clone()]))).collect()
}

fn adjust(config: &mut HostConfig, published: &HashMap<String, Option<Vec<PortBinding>>>) {
    config.publish_all_ports = Some(false);
    config.port_bindings = Some(published.clone());
    // A service that floods its log must not fill the engine's disk.
    let limits = ENGINE_LOG.map(|(name, value)| (name.to_owned(), value.to_owned()));
    config.log_config =
        Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(HashMap::from(limits)) });
}

impl Container {
    /// The engine's name for it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where each of its ports is reached from this machine, which a start may change.
    #[must_use]
    pub fn ports(&self) -> &BTreeMap<u16, SocketAddr> {
        &self.ports
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How it is.
    ///
    /// # Errors
    /// When the engine does not say.
    pub async fn state(&self) -> Result<State, Error> {
        let state = self.inspect().await?.state.unwrap_or_default();
        Ok(if state.running.unwrap_or_default() {
            State::Running {
                pid: state.pid.and_then(|pid| pid.try_into().ok()).unwrap_or_default(),
                paused: state.paused.unwrap_or_default(),
                healthy: super::health::verdict(state.health.as_ref()),
            }
        } else {
            State::Ended {
                status: state.exit_code.unwrap_or_default(),
                out_of_memory: state.oom_killed.unwrap_or_default(),
            }
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended within `limit`, or the engine does not say.
    pub async fn wait(&self, limit: Duration) -> Result<i64, Error> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let State::Ended { status, .. } = self.state().await? {
                return Ok(status);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(Error::Unable(format!("it still runs after {} s", limit.as_secs())));
            }
            sleep(MOMENT).await;
        }
    }

    /// Starts it again after it ended, and finds where its ports are now.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        let doing = format!("starting `{}` again", self.name);
        // The engine ended the log with the container, and tells the whole of it again unless told since when.
        self.following.finish().await;
        self.engine.ask(&doing, self.engine.docker.start_container(&self.id, None)).await?;
        let began = self.inspect().await?.state.and_then(|state| state.started_at);
        let since = began.and_then(|began| began.parse::<jiff::Timestamp>().ok());
        let since = since.map_or(0, |since| i32::try_from(since.as_second()).unwrap_or(i32::MAX));
        self.following = Following::start(&self.engine, &self.id, Arc::clone(&self.log), since);
        self.find_ports().await
    }

    /// Takes it off the network, as if its cable were pulled; ports on this machine no longer lead to it either.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn disconnect(&self) -> Result<(), Error> {
        self.network.disconnect(&self.id).await
    }

    /// Puts it back on the network.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn reconnect(&mut self) -> Result<(), Error> {
        self.network.connect(&self.id, None).await?;
        self.find_ports().await
    }

    /// Lets others on `network` find it by its service's name: where no relay stands between them.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn join(&self, network: &Network) -> Result<(), Error> {
        network.connect(&self.id, Some(&self.name)).await
    }

    /// Removes it, running or not; what it logged stays.
    ///
    /// # Errors
    /// When the engine refuses; the run's label still leads to it.
    pub async fn remove(mut self) -> Result<(), Error> {
        if let Some(guard) = self.guard.take() {
            // Dropped it would ask again, without our limit of time.
            std::mem::forget(guard);
        }
        self.engine.remove_container(&self.id).await?;
        // Its last words are on their way until the stream ends.
        self.following.finish().await;
        Ok(())
    }

    pub(super) async fn inspect(
        &self,
    ) -> Result<testcontainers::bollard::models::ContainerInspectResponse, Error> {
        let doing = format!("looking at `{}`", self.name);
        let look = async {
            loop {
                match self.engine.docker.inspect_container(&self.id, None).await {
                    // Soon it has ended, which has a word that everybody knows.
                    Err(error) if Error::is_ending(&error) => sleep(MOMENT).await,
                    answer => return answer,
                }
            }
        };
        self.engine.ask(&doing, Box::pin(look)).await
    }

    /// Where its ports are reached: at the container's own address where the network is of this machine, else
    /// where the engine publishes them.
    async fn find_ports(&mut self) -> Result<(), Error> {
        let settings = self.inspect().await?.network_settings.unwrap_or_default();
        self.ports = if self.network.is_here {
            let own = settings.networks.unwrap_or_default().remove(&self.network.name);
            let own = own.and_then(|own| own.ip_address?.parse::<IpAddr>().ok());
            let at = |own| self.exposed.iter().map(move |port| (*port, SocketAddr::new(own, *port)));
            own.into_iter().flat_map(at).collect()
        } else {
            let published = settings.ports.unwrap_or_default().into_iter().filter_map(|(port, bindings)| {
                let inside = port.strip_suffix("/tcp")?.parse().ok()?;
                let outside =
                    bindings?.into_iter().find_map(|binding| binding.host_port?.parse::<u16>().ok())?;
                Some((inside, SocketAddr::new(self.engine.reach, outside)))
            });
            published.collect()
        };
        Ok(())
    }
}

impl Engine {
    pub(super) async fn remove_container(&self, id: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        self.ask_away("removing a container", self.docker.remove_container(id, Some(options))).await
    }
}

/// A folder that anyone may write to, to be copied into containers.
struct EmptyFolder(PathBuf);

impl EmptyFolder {
    fn within(folder: &Path, name: &str) -> Result<Self, Error> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.join(format!("{name}.empty"));
        let made = std::fs::create_dir_all(&path);
        made.and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)))
            .map_err(|source| Error::File { what: format!("`{}` cannot be made", path.display()), source })?;
        Ok(Self(path))
    }
}

impl Drop for EmptyFolder {
    fn drop(&mut self) {
        // Left behind it is an empty folder among the run's files.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// How long a service has to end when it is asked to, unless the fault says otherwise.
pub const GRACE: Duration = Duration::from_secs(10);
