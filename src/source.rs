//! A file's text, and the byte range of every place in it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// The largest file that is read, in bytes.
pub const LARGEST: usize = 16 << 20;

/// A byte range of one file. Cheap to copy; only the renderer asks [`Sources`] what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which file, as numbered by [`Sources`].
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A file's number within its [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

impl FileId {
    /// A range of this file's bytes.
    #[must_use]
    pub fn place(self, start: usize, end: usize) -> Place {
        let clamp = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Place { file: self, start: clamp(start), end: clamp(end.max(start)) }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> At<T> {
    /// `value` as written at `place`.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// The same place with another reading of it.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> At<U> {
        At { value: to(self.value), place: self.place }
    }

    /// A view of the value, place kept.
    pub fn as_ref(&self) -> At<&T> {
        At { value: &self.value, place: self.place }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// One file: its path as the user named it, and its text.
#[derive(Debug)]
pub struct File {
    /// As shown in messages.
    pub path: PathBuf,
    /// Valid UTF-8; what was not is replaced, after a finding was made of it.
    pub text: String,
}

/// Line and column of a byte, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Character within the line, from 1.
    pub column: usize,
}

/// Every file of a run, by number.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<File>,
    /// Where each line of each file begins, so that a place is found in a long file without reading it.
    lines: Vec<Vec<u32>>,
}

/// Why a file could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The operating system said no.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A pipe, a device or a socket: there may be no end to it, or no beginning.
    #[error("it is no regular file")]
    NotRegular,
    /// Above [`LARGEST`].
    #[error("the file is larger than {} bytes", LARGEST)]
    TooLarge,
}

/// Reads a file whole.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger than [`LARGEST`].
pub fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    // Asked before it is opened: to open a pipe is to wait for its writer.
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(Unreadable::NotRegular);
    }
    read_any(path)
}

fn read_any(path: &Path) -> Result<Vec<u8>, Unreadable> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST { Err(Unreadable::TooLarge) } else { Ok(bytes) }
}

impl Sources {
    /// Takes in a text under a path.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        let text = text.into();
        let after = |(at, _): (usize, &str)| u32::try_from(at + 1).unwrap_or(u32::MAX);
        self.lines.push(std::iter::once(0).chain(text.match_indices('\n').map(after)).collect());
        self.files.push(File { path: path.into(), text });
        id
    }

    /// Reads a file. The second value is the offset of the first byte that is not UTF-8, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, is no regular file, or is larger than [`LARGEST`].
    pub fn open(&mut self, path: &Path) -> Result<(FileId, Option<usize>), Unreadable> {
        Ok(self.take_in(path, read(path)?))
    }

    /// Reads a file that may also be a pipe, as a shell's `<(…)` is: who names it waits for its end knowingly.
    ///
    /// # Errors
    /// When it cannot be read or is larger than [`LARGEST`].
    pub fn open_any(&mut self, path: &Path) -> Result<(FileId, Option<usize>), Unreadable> {
        Ok(self.take_in(path, read_any(path)?))
    }

    fn take_in(&mut self, path: &Path, bytes: Vec<u8>) -> (FileId, Option<usize>) {
        match String::from_utf8(bytes) {
            Ok(text) => (self.add(path, text), None),
            Err(error) => {
                let broken = error.utf8_error().valid_up_to();
                (self.add(path, String::from_utf8_lossy(error.as_bytes())), Some(broken))
            }
        }
    }

    /// The file of that number.
    #[must_use]
    pub fn file(&self, id: FileId) -> &File {
        &self.files[id.0 as usize]
    }

    /// The file read from `path`, if there is one.
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<FileId> {
        let index = self.files.iter().position(|file| file.path == path)?;
        Some(FileId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// Every file, in the order they were taken in.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &File)> {
        self.files.iter().zip(0..).map(|(file, id)| (FileId(id), file))
    }

    /// What stands at `place`.
    #[must_use]
    pub fn text(&self, place: Place) -> &str {
        self.file(place.file).text.get(place.start as usize..place.end as usize).unwrap_or_default()
    }

    /// Line and column where `place` begins.
    #[must_use]
    pub fn position(&self, place: Place) -> Position {
        let text = &self.file(place.file).text;
        let start = text.len().min(place.start as usize);
        let lines = &self.lines[place.file.0 as usize];
        let line = lines.partition_point(|begin| *begin as usize <= start).max(1);
        let before = text.get(lines[line - 1] as usize..start).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    /// `path:line:column`, as editors understand it.
    #[must_use]
    pub fn address(&self, place: Place) -> String {
        let Position { line, column } = self.position(place);
        format!("{}:{line}:{column}", self.file(place.file).path.display())
    }
}
