//! Waking when a hit is due.
//!
//! The runtime's own timers turn a wheel of milliseconds: at 1,000 hits a second they wake 1 ms late in the
//! median. A timer of the kernel's, waited for like a socket, woke 0.06 ms late at less CPU than a thread that
//! sleeps (0.13 ms); spinning was truer still, and took a core.

use tokio::time::{Instant, sleep_until};

/// Who wakes the driver when a hit is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Timer {
    /// The kernel, within some tens of microseconds; where it has no such timer, the wheel.
    #[default]
    Kernel,
    /// The runtime's wheel, within two milliseconds; it follows a paused clock.
    Wheel,
}

/// A [`Timer`] in use.
#[derive(Debug)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    kernel: Option<kernel::Alarm>,
}

impl Alarm {
    #[cfg(target_os = "linux")]
    pub(super) fn new(timer: Timer) -> Self {
        let kernel = match timer {
            Timer::Kernel => kernel::Alarm::new().ok(),
            Timer::Wheel => None,
        };
        Self { kernel }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn new(_: Timer) -> Self {
        Self {}
    }

    /// Waits until `moment`, never less; of two calls the later one counts.
    pub(super) async fn at(&self, moment: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(alarm) = &self.kernel
            && alarm.at(moment).await.is_ok()
        {
            return;
        }
        sleep_until(moment).await;
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::time::Instant;

    #[derive(Debug)]
    pub(super) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        #[expect(
            deprecated,
            reason = "its successor is an unsafe function, for descriptors that may change; an owned one does not"
        )]
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            AsyncFd::with_interest(timer, Interest::READABLE).map(Self)
        }

        pub(super) async fn at(&self, moment: Instant) -> io::Result<()> {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let once = Timespec { tv_sec: 0, tv_nsec: 0 };
            // Setting it anew also forgets that it rang for an earlier moment.
            let it_value = left.try_into().map_err(io::Error::other)?;
            let setting = Itimerspec { it_interval: once, it_value };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &setting)?;
            let mut rings = [0; 8];
            let ring = |timer: &OwnedFd| Ok(rustix::io::read(timer, &mut rings)?);
            self.0.async_io(Interest::READABLE, ring).await.map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::kernel(Timer::Kernel)]
    #[case::wheel(Timer::Wheel)]
    #[tokio::test]
    async fn it_never_wakes_early(#[case] timer: Timer) {
        let alarm = Alarm::new(timer);
        let start = Instant::now();
        for micros in [0, 300, 1_700, 1_701, 5_000] {
            let moment = start + Duration::from_micros(micros);
            alarm.at(moment).await;
            assert!(Instant::now() >= moment, "{micros}");
        }
    }

    #[rstest]
    #[case::kernel(Timer::Kernel)]
    #[case::wheel(Timer::Wheel)]
    #[tokio::test]
    async fn a_wait_that_was_given_up_wakes_nobody_later(#[case] timer: Timer) {
        let alarm = Alarm::new(timer);
        let start = Instant::now();
        let given_up = alarm.at(start + Duration::from_micros(500));
        tokio::select! { biased; () = given_up => panic!("too early"), () = std::future::ready(()) => {} }
        let moment = start + Duration::from_millis(4);
        alarm.at(moment).await;
        assert!(Instant::now() >= moment);
    }
}
