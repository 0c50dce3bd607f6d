//! Who is let in at the port: as many as there is room for; where there is none, whoever says nothing has to leave.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The most clients that are let in, however many files may be open.
const MOST_CLIENTS: usize = 16_384;

/// The most probes that are made at once for those who ask at `/probe`.
const MOST_PROBES: usize = 4096;

/// How long a client may say nothing while others wait outside.
const SILENCE: Duration = Duration::from_secs(1);

/// How much there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Clients of the port.
    pub(super) clients: usize,
    /// Probes for those who ask at `/probe`.
    pub(super) probes: usize,
}

/// Everybody who was let in.
#[derive(Debug, Default)]
pub(super) struct Guests(Vec<Weak<Guest>>);

/// One client.
#[derive(Debug)]
pub(super) struct Guest {
    /// Since when nothing of it is being answered; `None` while something is.
    silent: Mutex<Option<Instant>>,
    /// Cancelled when it has to leave, or all have.
    pub(super) leave: CancellationToken,
}

/// Something of a client is being answered for as long as this lives.
pub(super) struct Asking<'a>(&'a Guest);

impl Room {
    /// Where so many files may be open: the last eighth is for the scenarios' own connections, whoever asks.
    pub(super) fn of(files: Option<u64>) -> Self {
        let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
        Self { clients: (files / 4 * 3).clamp(1, MOST_CLIENTS), probes: (files / 8).clamp(1, MOST_PROBES) }
    }
}

impl Guests {
    pub(super) fn welcome(&mut self, stop: &CancellationToken) -> Arc<Guest> {
        if self.0.len() >= 2 * MOST_CLIENTS {
            self.0.retain(|guest| guest.strong_count() > 0);
        }
        let guest = Guest { silent: Mutex::new(Some(Instant::now())), leave: stop.child_token() };
        let guest = Arc::new(guest);
        self.0.push(Arc::downgrade(&guest));
        guest
    }

    /// Sends all away who say nothing, and says how many: those who are slow to ask, those who stay for later, those who
    /// do not read.
    pub(super) fn make_room(&mut self) -> u64 {
        let mut sent_away = 0;
        self.0.retain(|guest| {
            let Some(guest) = guest.upgrade() else { return false };
            let silent = *guest.silent.lock().unwrap_or_else(PoisonError::into_inner);
            let leaves = silent.is_some_and(|since| since.elapsed() >= SILENCE);
            if leaves {
                guest.leave.cancel();
                sent_away += 1;
            }
            !leaves
        });
        sent_away
    }
}

impl Guest {
    pub(super) fn asks(&self) -> Asking<'_> {
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Asking(self)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        *self.0.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_limit(None, 16_384, 4096)]
    #[case::much(Some(1_048_576), 16_384, 4096)]
    #[case::some(Some(20_000), 15_000, 2500)]
    #[case::little(Some(1024), 768, 128)]
    #[case::nothing(Some(0), 1, 1)]
    fn scenarios_keep_files_of_their_own(
        #[case] files: Option<u64>,
        #[case] clients: usize,
        #[case] probes: usize,
    ) {
        assert_eq!(Room::of(files), Room { clients, probes });
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_leaves_and_who_is_answered_stays() {
        let (mut guests, stop) = (Guests::default(), CancellationToken::new());
        let (asking, silent, asked) = (guests.welcome(&stop), guests.welcome(&stop), guests.welcome(&stop));
        let asks = asking.asks();
        drop(asked.asks());
        tokio::time::advance(SILENCE).await;
        let fresh = guests.welcome(&stop);
        assert_eq!(guests.make_room(), 2);
        let left = [&asking, &silent, &asked, &fresh].map(|guest| guest.leave.is_cancelled());
        assert_eq!(left, [false, true, true, false]);
        drop(asks);
        tokio::time::advance(SILENCE).await;
        assert_eq!(guests.make_room(), 2);
        assert!(asking.leave.is_cancelled() && fresh.leave.is_cancelled());
    }
}
