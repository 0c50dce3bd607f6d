//! Reports that are written in one piece, once the run is over.

use std::io::{self, Write};

use crate::event::Stamped;
use crate::report::Report;
use crate::report::record::Run;

/// How a run is written.
type Writing = Box<dyn Fn(&Run, &mut dyn Write) -> io::Result<()> + Send>;

/// Collects a run, and writes it when it is closed.
pub(crate) struct Whole {
    name: String,
    out: Box<dyn Write + Send>,
    write: Writing,
    run: Run,
}

impl Whole {
    /// Lets `write` write to `out`, which is called `name` in messages.
    pub(crate) fn new(
        name: String,
        out: Box<dyn Write + Send>,
        write: impl Fn(&Run, &mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self { name, out, write: Box::new(write), run: Run::default() }
    }
}

impl Report for Whole {
    fn name(&self) -> &str {
        &self.name
    }

    fn take(&mut self, stamped: &Stamped) -> io::Result<()> {
        self.run.take(stamped);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        (self.write)(&self.run, &mut self.out)?;
        self.out.flush()
    }
}
