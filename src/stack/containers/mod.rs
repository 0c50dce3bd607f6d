//! Containers: services in the images that production runs, on a network of their own.
//!
//! Started through testcontainers; what it cannot say to an engine is said by the client that it is built on.

mod contained;
mod container;
mod engine;
mod error;
mod follow;
mod front;
mod health;
mod image;
mod limit;
mod netem;
mod network;
mod relays;
mod runtime;
mod signal;
mod sweep;

pub use self::contained::Contained;
pub use self::container::{Container, GRACE, Mounted, Request, State};
pub use self::engine::Engine;
pub use self::error::Error;
pub use self::health::{Check, Test};
pub use self::image::{ImageMap, ImageMapWritten};
pub use self::limit::Limits;
pub use self::netem::{Impaired, Impairment, Means};
pub use self::network::{Network, RUN_LABEL, spread};
pub use self::runtime::{Containers, sweep_the_dead};
pub(super) use self::runtime::{are_here, has_images};
pub use self::signal::Executed;
pub use self::sweep::Swept;
