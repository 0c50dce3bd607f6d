//! What can go wrong between firedrill and a container engine, and what to do about it.

use std::io;
use std::time::Duration;

use testcontainers::TestcontainersError;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::core::client::ClientError;

/// Why a container, or the engine itself, did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens where an engine would.
    #[error(
        "no container engine answers at {host}: start one, set DOCKER_HOST to where it is, or say `--runtime processes`"
    )]
    Absent {
        /// Where it was sought.
        host: String,
    },
    /// The socket is there, and not for this user.
    #[error(
        "the container engine at {host} is not for this user: join the group its socket belongs to (`docker`, usually), or say `--runtime processes`"
    )]
    Forbidden {
        /// The socket.
        host: String,
    },
    /// An engine that lacks what stacks are built of.
    #[error(
        "the container engine at {host} speaks version {api} of the API, and stacks need {least} (Docker Engine 20.10, Podman 4)"
    )]
    TooOld {
        /// Where it listens.
        host: String,
        /// The version of the API that it speaks.
        api: String,
        /// The oldest that would do.
        least: String,
    },
    /// It was there and is no more.
    #[error("the container engine at {host} does not answer any more: {why}, while {doing}")]
    Gone {
        /// Where it was.
        host: String,
        /// What happened to the connection.
        why: String,
        /// What was asked of it.
        doing: String,
    },
    /// It takes too long.
    #[error("the container engine at {host} has not answered within {} s, while {doing}", limit.as_secs())]
    Slow {
        /// Where it listens.
        host: String,
        /// How long it had.
        limit: Duration,
        /// What was asked of it.
        doing: String,
    },
    /// It says no.
    #[error("the container engine refuses, while {doing}: {why}")]
    Refused {
        /// What it says.
        why: String,
        /// What was asked of it.
        doing: String,
    },
    /// An image that is not on this machine and cannot be fetched.
    #[error(
        "image `{image}` is not on this machine and cannot be pulled: {why}; pull it by hand, or name another in its place with `--image-map FILE`"
    )]
    NoImage {
        /// Its name, as it was looked for.
        image: String,
        /// What the registry, or the engine on its behalf, says.
        why: String,
    },
    /// A file of this machine that could not be read or written.
    #[error("{what}: {source}")]
    File {
        /// What was to be done with it.
        what: String,
        /// Why it could not be.
        source: io::Error,
    },
    /// It does not know the call that changes the limits of a container.
    #[error("{engine} changes no limits of a container that runs")]
    NoUpdates {
        /// What it says it is.
        engine: String,
    },
    /// A fault for which this machine lacks something.
    #[error("{0}")]
    Unable(String),
}

/// What an engine says can be long, and is not ours.
const LONGEST: usize = 400;

impl Error {
    /// What an error of the API means, as far as can be told from it.
    pub(super) fn of(error: &EngineError, host: &str, doing: &str) -> Self {
        let (host, doing) = (host.to_owned(), doing.to_owned());
        if let EngineError::DockerResponseServerError { message, .. } = error {
            return Self::Refused { why: one_line(message), doing };
        }
        if Self::is_ending(error) {
            return Self::Refused { why: "it ended at once".to_owned(), doing };
        }
        if matches!(error, EngineError::SocketNotFoundError(_)) {
            return Self::Absent { host };
        }
        match io_kind(error) {
            Some(io::ErrorKind::PermissionDenied) => Self::Forbidden { host },
            Some(io::ErrorKind::NotFound) => Self::Absent { host },
            Some(_) => Self::Gone { host, why: deepest(error), doing },
            None if is_broken(error) => Self::Gone { host, why: deepest(error), doing },
            None => Self::Refused { why: deepest(error), doing },
        }
    }

    /// The same of what testcontainers makes of it.
    pub(super) fn of_started(error: &TestcontainersError, host: &str, doing: &str) -> Self {
        // It does not name what it holds as the cause.
        if let TestcontainersError::Client(
            ClientError::CreateContainer(inner)
            | ClientError::StartContainer(inner)
            | ClientError::InspectContainer(inner)
            | ClientError::UploadToContainerError(inner)
            | ClientError::ListNetworks(inner)
            | ClientError::PullImage { err: inner, .. },
        ) = error
        {
            return Self::of(inner, host, doing);
        }
        Self::Refused { why: one_line(&error.to_string()), doing: doing.to_owned() }
    }

    /// The same of an engine that was asked for the first time: what breaks off then was no engine.
    pub(super) fn never_there(self) -> Self {
        if let Self::Gone { host, .. } = self { Self::Absent { host } } else { self }
    }

    /// The same of an image that was to be pulled: what the engine refuses then is the image.
    pub(super) fn not_pulled(self, image: &str) -> Self {
        if let Self::Refused { why, .. } = self {
            let login = if wants_login(&why) {
                format!(" (`docker login {}` enters it)", registry(image))
            } else {
                String::new()
            };
            Self::NoImage { image: image.to_owned(), why: why + &login }
        } else {
            self
        }
    }

    /// Whether the engine answered, and answered that there is no such thing.
    #[must_use]
    pub(super) fn is_missing(error: &EngineError) -> bool {
        matches!(error, EngineError::DockerResponseServerError { status_code: 404, .. })
    }

    /// Whether it is Podman's own word for a container that has ended and is yet to be tidied up, which no other
    /// engine has.
    pub(super) fn is_ending(error: &EngineError) -> bool {
        error.to_string().contains("unknown variant `stopped`")
    }

    /// Whether the engine itself is lost, and nothing else need be asked of it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Absent { .. }
            | Self::Forbidden { .. }
            | Self::TooOld { .. }
            | Self::Gone { .. }
            | Self::Slow { .. } => true,
            Self::Refused { .. }
            | Self::NoImage { .. }
            | Self::NoUpdates { .. }
            | Self::File { .. }
            | Self::Unable(_) => false,
        }
    }
}

/// Whether a registry asks who is there, by what engines make of that; some say `docker login` themselves.
fn wants_login(why: &str) -> bool {
    let signs = ["no basic auth credentials", "unauthorized", "authentication required", "denied"];
    signs.iter().any(|sign| why.contains(sign)) && !why.contains("docker login")
}

/// The registry of an image, as `docker login` takes it; Docker's own is the one it takes unsaid.
fn registry(image: &str) -> &str {
    image
        .split_once('/')
        .map(|(first, _)| first)
        .filter(|first| first.contains(['.', ':']))
        .unwrap_or_default()
}

/// The first failure of a socket among the causes.
fn io_kind(error: &EngineError) -> Option<io::ErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// Whether the connection broke before a whole answer had come.
fn is_broken(error: &EngineError) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<hyper::Error>().is_some_and(|error| {
            error.is_incomplete_message() || error.is_closed() || error.is_canceled() || error.is_parse()
        })
    })
}

fn deepest(error: &EngineError) -> String {
    causes(error).last().map_or_else(|| one_line(&error.to_string()), |cause| one_line(&cause.to_string()))
}

fn causes(error: &EngineError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
}

/// A foreign text as part of a sentence: its lines joined, its length bounded.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|sign| !sign.is_control()).take(LONGEST).collect();
    line.trim_end_matches('.').to_owned()
}
