//! Exit codes, one table for every verb.

use std::process::ExitCode;

use crate::event::Conclusion;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: everything held.
    Pass,
    /// 1: an expectation, an objective, an alert or a budget was not met.
    Fail,
    /// 2: the command line or a file is invalid.
    Usage,
    /// 3: too few samples to say.
    Inconclusive,
    /// 4: what firedrill measures with is missing, or there is no data.
    NotMeasured,
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::NotMeasured => 4,
        }
    }
}

impl Exit {
    /// What remains of an exit when the report of it could not be written: a pass nobody can read is none.
    #[must_use]
    pub fn unreported(self) -> Self {
        match self {
            Self::Pass => Self::NotMeasured,
            Self::Fail | Self::Usage | Self::Inconclusive | Self::NotMeasured => self,
        }
    }
}

impl From<Conclusion> for Exit {
    fn from(conclusion: Conclusion) -> Self {
        match conclusion {
            Conclusion::Pass => Self::Pass,
            Conclusion::Fail => Self::Fail,
            Conclusion::Inconclusive => Self::Inconclusive,
            Conclusion::NotMeasured => Self::NotMeasured,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
