//! Images: what a name stands for here, and whether it can be had.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use testcontainers::GenericImage;
use testcontainers::runners::AsyncRunner as _;
use tokio::time::timeout;

use super::engine::Engine;
use super::error::Error;
use crate::finding::{Code, Finding, Findings};
use crate::source::At;
use crate::yaml::{Entries, Node, read};

/// How long an image may take to be pulled.
const PULL: Duration = Duration::from_secs(300);

/// A file of `--image-map`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageMapWritten {
    /// What is used in place of each image; a name that ends with `*` stands for all that begin so.
    images: Entries<At<String>>,
}

/// What is used in place of images: mirrors, or what an offline machine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageMap(BTreeMap<String, String>);

impl ImageMap {
    /// Reads the file of `--image-map`.
    pub fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let written: ImageMapWritten = findings.take_all(read(node))?;
        let mut map = BTreeMap::new();
        for (name, instead) in written.images {
            let starred = (name.value.ends_with('*'), instead.value.ends_with('*'));
            if starred.0 != starred.1 {
                let title = "both names end with `*`, or neither";
                let finding = Finding::new(Code::FileValue, instead.place, title);
                findings.add(finding.help("what `*` stands for is put at the end of the other name"));
            } else if instead.value.is_empty() {
                let title = format!("nothing is to be used in place of `{name}`");
                findings.add(Finding::new(Code::FileValue, instead.place, title));
            } else {
                map.insert(full(&name.value), instead.value);
            }
        }
        Some(Self(map))
    }

    /// What is used for this image: the entry of that name, else the one with the longest beginning, else itself.
    #[must_use]
    pub fn resolve(&self, image: &str) -> String {
        let whole = full(image);
        if let Some(instead) = self.0.get(&whole) {
            return instead.clone();
        }
        let beginnings = self.0.iter().filter_map(|(name, instead)| {
            let rest = whole.strip_prefix(name.strip_suffix('*')?)?;
            Some((name.len(), format!("{}{rest}", instead.strip_suffix('*')?)))
        });
        beginnings.max().map_or_else(|| image.to_owned(), |(_, instead)| instead)
    }
}

/// A name with the registry, folder and tag that it leaves out.
fn full(image: &str) -> String {
    let (registry, path) = match image.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        Some(_) | None => ("docker.io", image),
    };
    let library = if registry == "docker.io" && !path.contains('/') && path != "*" { "library/" } else { "" };
    let tagged = path.contains('@') || path.ends_with('*') || split(path).1.is_some();
    format!("{registry}/{library}{path}{}", if tagged { "" } else { ":latest" })
}

/// A name without its tag, and the tag.
fn split(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        Some(_) | None => (image, None),
    }
}

impl Engine {
    /// Whether the image is on the engine's machine.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn has(&self, image: &str) -> Result<bool, Error> {
        let doing = format!("looking for image `{image}`");
        let seek = async {
            match self.docker.inspect_image(image).await {
                Ok(_) => Ok(true),
                Err(error) if Error::is_missing(&error) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.ask(&doing, seek).await
    }

    /// Makes sure of the image: the local one where there is one, else it is pulled, with the credentials that
    /// Docker's own configuration holds.
    ///
    /// # Errors
    /// When it is neither here nor to be had, or the engine cannot be asked.
    pub async fn fetch(&self, image: &str) -> Result<(), Error> {
        if self.has(image).await? { Ok(()) } else { self.pull(image).await }
    }

    /// Fetches an image, whether or not there is one of that name already.
    ///
    /// # Errors
    /// When it is not to be had, or the engine cannot be asked.
    pub async fn pull(&self, image: &str) -> Result<(), Error> {
        match timeout(PULL, named(image).pull_image()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Error::of_started(&error, &self.host, "pulling").not_pulled(image)),
            Err(_) => {
                let why = format!("it took longer than {} s", PULL.as_secs());
                Err(Error::NoImage { image: image.to_owned(), why })
            }
        }
    }
}

/// The image as something to be started. A digest is no tag, but is put behind a colon all the same.
pub(super) fn named(image: &str) -> GenericImage {
    let (name, tag) = split(image);
    GenericImage::new(name, tag.unwrap_or("latest"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::source::Sources;
    use crate::yaml;

    #[rstest]
    #[case::official("redis:7", "docker.io/library/redis:7")]
    #[case::untagged("redis", "docker.io/library/redis:latest")]
    #[case::in_full("docker.io/library/redis:7", "docker.io/library/redis:7")]
    #[case::of_somebody("prom/prometheus:v2", "docker.io/prom/prometheus:v2")]
    #[case::registry("quay.io/a/b:1", "quay.io/a/b:1")]
    #[case::port("localhost:5000/a", "localhost:5000/a:latest")]
    #[case::digest("a@sha256:12", "docker.io/library/a@sha256:12")]
    #[case::beginning("prom/*", "docker.io/prom/*")]
    fn a_name_says_the_rest_by_itself(#[case] image: &str, #[case] whole: &str) {
        assert_eq!(full(image), whole);
    }

    #[rstest]
    #[case::exact("redis:7", "local/redis:7.0")]
    #[case::in_full("docker.io/library/redis:7", "local/redis:7.0")]
    #[case::another_tag("redis:6", "mirror:5000/hub/library/redis:6")]
    #[case::longest("prom/prometheus:v2.42.0", "here/prometheus:v2.42.0")]
    #[case::elsewhere("quay.io/a/b:1", "quay.io/a/b:1")]
    fn the_longest_name_decides(#[case] image: &str, #[case] instead: &str) {
        let text =
            "images:\n  redis:7: local/redis:7.0\n  docker.io/*: mirror:5000/hub/*\n  prom/*: here/*\n";
        let (map, findings) = map_of(text);
        assert!(findings.is_empty());
        assert_eq!(map.unwrap().resolve(image), instead);
    }

    #[test]
    fn a_star_stands_for_the_same_on_both_sides() {
        let (_, findings) = map_of("images: { 'a/*': b, c: '' }\n");
        let titles: Vec<_> = findings.in_reading_order().into_iter().map(|finding| finding.title).collect();
        assert_eq!(titles, ["both names end with `*`, or neither", "nothing is to be used in place of `c`"]);
    }

    fn map_of(text: &str) -> (Option<ImageMap>, Findings) {
        let mut sources = Sources::default();
        let id = sources.add("map.yaml", text);
        let documents = yaml::parse(id, text).unwrap();
        let mut findings = Findings::default();
        let map = ImageMap::read(&documents[0], &mut findings);
        (map, findings)
    }
}
