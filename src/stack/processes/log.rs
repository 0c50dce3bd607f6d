//! What a service writes: kept in a file of bounded size, the last of it in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use regex::bytes::Regex;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// When a log is this long it is put aside as `NAME.log.old`, in place of the one before, and begun anew.
const LONGEST: u64 = 16 << 20;

/// So many lines are kept in memory, each no longer than that.
const LINES: usize = 20;
const LINE: usize = 1000;

/// A line that is longer is matched in parts.
const LONGEST_LINE: usize = 64 << 10;

/// The log of a service.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    /// The line that is waited for.
    sign: Option<Regex>,
    matched: AtomicBool,
    tail: Mutex<VecDeque<Vec<u8>>>,
}

impl Log {
    /// A log in a file; a line that `sign` matches is remembered.
    #[must_use]
    pub fn new(path: PathBuf, sign: Option<Regex>) -> Self {
        Self { path, sign, matched: AtomicBool::new(false), tail: Mutex::default() }
    }

    /// Whether the line that is waited for has come.
    #[must_use]
    pub fn matched(&self) -> bool {
        self.matched.load(Ordering::Relaxed)
    }

    /// Forgets that it has.
    pub fn await_again(&self) {
        self.matched.store(false, Ordering::Relaxed);
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = tail.iter().map(|line| String::from_utf8_lossy(line)).collect();
        lines.join("\n")
    }

    /// Takes in what `from` gives until its end. What cannot be written is still read: a service must not wait
    /// for its log.
    pub(in crate::stack) async fn take_in(&self, mut from: impl AsyncRead + Unpin) {
        let mut file = Writer::open(self.path.clone());
        let mut buffer = vec![0; 64 << 10];
        let mut line = Vec::new();
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let read = &buffer[..count];
            file.write(read);
            for part in read.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.ends_with(b"\n") || line.len() >= LONGEST_LINE {
                    self.note(&line);
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            self.note(&line);
        }
    }

    fn note(&self, line: &[u8]) {
        let line = line.trim_ascii_end();
        if self.sign.as_ref().is_some_and(|sign| !self.matched() && sign.is_match(line)) {
            self.matched.store(true, Ordering::Relaxed);
        }
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == LINES {
            tail.pop_front();
        }
        tail.push_back(line[..line.len().min(LINE)].to_owned());
    }
}

/// Writes to a file that is put aside when it is long.
struct Writer {
    path: PathBuf,
    file: Option<File>,
    written: u64,
}

impl Writer {
    fn open(path: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&path).ok();
        let written = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |known| known.len());
        Self { path, file, written }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.written >= LONGEST {
            self.file = None;
            let mut aside = self.path.clone().into_os_string();
            aside.push(".old");
            let _ = std::fs::rename(&self.path, aside);
            *self = Self::open(std::mem::take(&mut self.path));
        }
        if let Some(file) = &mut self.file {
            self.written += bytes.len() as u64;
            let _ = file.write_all(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::processes::folder::temporary;

    #[tokio::test]
    async fn a_log_remembers_its_end_and_the_line_that_is_waited_for() {
        let folder = temporary();
        let path = folder.path().join("shop.log");
        let log = Log::new(path.clone(), Some(Regex::new("^ready at [0-9]+$").unwrap()));
        let lines: Vec<_> = (0..50).map(|number| format!("line {number}")).collect();
        let text = lines.join("\n") + "\n";
        log.take_in(text.as_bytes()).await;
        assert!(!log.matched());
        log.take_in(&b"ready at 7\nlast"[..]).await;
        assert!(log.matched());
        assert_eq!(log.tail(), format!("{}\nready at 7\nlast", lines[32..].join("\n")));
        assert_eq!(std::fs::read_to_string(path).unwrap(), text + "ready at 7\nlast");
    }

    #[tokio::test]
    async fn a_flood_fills_no_disk() {
        let folder = temporary();
        let path = folder.path().join("flood.log");
        let log = Log::new(path.clone(), None);
        log.take_in(tokio::io::AsyncReadExt::take(tokio::io::repeat(b'y'), 3 * LONGEST + 5)).await;
        let length = |path: &str| std::fs::metadata(path).unwrap().len();
        let shown = path.display().to_string();
        assert!(length(&shown) <= LONGEST + (64 << 10));
        assert!(length(&format!("{shown}.old")) <= LONGEST + (64 << 10));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(log.tail().len() <= LINES * (LINE + 1));
    }
}
