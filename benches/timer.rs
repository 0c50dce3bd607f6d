//! A bare loop over the kernel's timer: how late a thread that does nothing else is woken on this machine.
//!
//! `timer RATE SECONDS` waits for each due time of an even schedule and prints the median and the 99th percentile of
//! how late it was, in microseconds: what `benches/load.sh` holds a load's lateness against.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write as _;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    let mut arguments = std::env::args().skip(1);
    let mut number =
        || arguments.next().and_then(|text| text.parse::<u32>().ok()).ok_or("timer RATE SECONDS");
    let (rate, seconds) = (number()?, number()?);
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let mut late: Histogram<u64> = Histogram::new(3)?;
    let start = Instant::now();
    for hit in 0..rate * seconds {
        let due = start + Duration::from_secs(1) * hit / rate;
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let setting = Itimerspec { it_interval, it_value: left.try_into()? };
            timerfd_settime(&timer, TimerfdTimerFlags::empty(), &setting)?;
            rustix::io::read(&timer, &mut [0; 8])?;
        }
        let nanos = Instant::now().saturating_duration_since(due).as_nanos();
        late.record(u64::try_from(nanos)?)?;
    }
    let micros = |quantile| late.value_at_quantile(quantile) / 1_000;
    writeln!(std::io::stdout(), "{} {}", micros(0.5), micros(0.99))?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    Err("only Linux has these timers".into())
}
