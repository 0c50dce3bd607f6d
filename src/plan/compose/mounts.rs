//! What a Compose service mounts: files are copied in, volumes are folders of its own.

use std::path::{Path, PathBuf};

use super::Found;
use crate::plan::files::beside;
use crate::scenario::stack::{Content, Placed};
use crate::source::{At, Place};
use crate::yaml::Node;

/// The most files that are copied of one folder.
const MOST_FILES: usize = 500;

/// What a service has in its file system.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) files: Vec<Placed>,
    pub(super) folders: Vec<At<String>>,
    /// Volumes by name, which others may mount too.
    pub(super) named: Vec<At<String>>,
}

impl Mounts {
    /// Takes one entry of `volumes`, of the Compose file at `file`.
    pub(super) fn take(&mut self, file: &Path, entry: &Node, found: &mut Found<'_>) {
        let scalar = |key: &str| entry.get(key).and_then(Node::scalar);
        if let Some(text) = entry.scalar() {
            let mut parts = text.splitn(3, ':');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(target), None, _) => self.folder(target, entry.place),
                (Some(source), Some(target), mode) => {
                    self.mount(file, source, target, mode.is_some_and(reads_only), entry.place, found);
                }
                (None, ..) => {}
            }
            return;
        }
        let (kind, target) = (scalar("type").unwrap_or("volume"), scalar("target"));
        let Some(target) = target else {
            found.unsupported(entry.place, "a mount names its `target`", "write `source:/target`");
            return;
        };
        match (kind, scalar("source")) {
            ("tmpfs", _) | ("volume", None) => self.folder(target, entry.place),
            ("bind" | "volume", Some(source)) => {
                let read_only = scalar("read_only") == Some("true");
                self.mount(file, source, target, read_only, entry.place, found);
            }
            (other, _) => {
                let title = format!("a mount of type `{other}` is not made here");
                found.unsupported(entry.place, title, "`bind` copies files in, `volume` is a folder");
            }
        }
    }

    /// An empty folder.
    pub(super) fn folder(&mut self, target: &str, place: Place) {
        self.folders.push(At::new(target.to_owned(), place));
    }

    fn mount(
        &mut self,
        file: &Path,
        source: &str,
        target: &str,
        read_only: bool,
        place: Place,
        found: &mut Found<'_>,
    ) {
        if !source.starts_with(['.', '/', '~']) {
            self.named.push(At::new(source.to_owned(), place));
            self.folder(target, place);
            return;
        }
        let path = beside(file, source);
        let copied = match files_of(&path) {
            Ok(copied) => copied,
            Err(why) => {
                let title = format!("`{source}` cannot be mounted: {why}");
                found.unsupported(place, title, "files and folders of files are copied in");
                return;
            }
        };
        if !read_only {
            let title = format!("what the service writes to `{target}` stays in its container");
            found.ignored(place, title, "`:ro` says that it writes nothing");
        }
        for (name, from) in copied {
            let path = if name.as_os_str().is_empty() {
                target.to_owned()
            } else {
                format!("{}/{}", target.trim_end_matches('/'), name.display())
            };
            let content = Content::Copy(At::new(from.to_string_lossy().into_owned(), place));
            self.files.push(Placed { path: At::new(path, place), content });
        }
    }
}

fn reads_only(mode: &str) -> bool {
    mode.split(',').any(|word| word == "ro")
}

/// The files at a path, each with its name below it; a file itself has none.
fn files_of(path: &Path) -> Result<Vec<(PathBuf, PathBuf)>, String> {
    // Named from wherever the stack's own file is.
    let whole = std::path::absolute(path).map_err(|error| error.to_string())?;
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = folders.pop() {
        let at = if below.as_os_str().is_empty() { whole.clone() } else { whole.join(&below) };
        let kind = std::fs::metadata(&at).map_err(|error| error.to_string())?.file_type();
        if kind.is_file() {
            files.push((below, at));
        } else if kind.is_dir() {
            for entry in std::fs::read_dir(&at).map_err(|error| error.to_string())? {
                folders.push(below.join(entry.map_err(|error| error.to_string())?.file_name()));
            }
        } else {
            return Err(format!("`{}` is neither a file nor a folder", at.display()));
        }
        if files.len() + folders.len() > MOST_FILES {
            return Err(format!("there are more than {MOST_FILES} files in it"));
        }
    }
    files.sort();
    Ok(files)
}
