//! Loads against targets whose every answer is known, on a clock that stands still unless all wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rstest::rstest;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::sample::{Phase, Reason};
use crate::units::Ratio;

/// A shooter that does what it is told.
struct Script<F>(F);

impl<F, A> Shooter for Script<F>
where
    F: FnMut() -> A + 'static,
    A: Future<Output = Shot>,
{
    fn shoot(&mut self, _: u64) -> impl Future<Output = Shot> {
        (self.0)()
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn open(rate: &str, hold: Duration) -> Schedule {
    Schedule::Open(Pace::rising(rate.parse().unwrap(), ms(0), hold))
}

fn options() -> Options {
    Options { timer: Timer::Wheel, ..Options::default() }
}

async fn run<S: Shooter>(schedule: Schedule, options: &Options, new: impl FnMut(Ledger) -> S) -> Totals {
    let mut whole = Totals::new(&options.watched, 0);
    drive(schedule, Instant::now(), options, new, |interval| whole.merge(&interval)).await;
    whole
}

fn ended(outcome: Result<(), Reason>, sent: Instant) -> Shot {
    Shot { outcome, part: None, sent, ended: Instant::now(), paused: Duration::ZERO, lingered: false }
}

async fn after(delay: Duration) -> Shot {
    let sent = Instant::now();
    sleep(delay).await;
    ended(Ok(()), sent)
}

/// The answer of a target that answers at once, but for the first 500 ms of every 5 s since `start`.
async fn with_stalls(start: Instant) -> Shot {
    let sent = Instant::now();
    let stall_began = start + Duration::from_secs(start.elapsed().as_secs() / 5 * 5);
    let stalled = ms(500).saturating_sub(stall_began.elapsed());
    if !stalled.is_zero() {
        sleep(stalled).await;
    }
    ended(Ok(()), sent)
}

#[track_caller]
fn assert_near(measured: Option<Duration>, truth: Duration) {
    let measured = measured.unwrap();
    assert!(measured.abs_diff(truth) <= truth / 100, "{measured:?} is not {truth:?}");
}

fn share(share: f64) -> Ratio {
    Ratio::new(share).unwrap()
}

/// A tenth of the arrivals fall into a stall, six into each of its milliseconds.
#[rstest]
#[case::as_many_connections_as_it_takes(1_000)]
#[case::too_few_connections(20)]
#[case::one_connection(1)]
#[tokio::test(start_paused = true)]
async fn a_stall_is_seen_by_all_who_were_due_in_it(#[case] connections: usize) {
    let options = Options { connections, watched: vec![ms(250)], ..options() };
    let start = Instant::now();
    let totals = run(open("1000/s", ms(30_000)), &options, |_| Script(move || with_stalls(start))).await;
    assert_eq!((totals.due, totals.ended(), totals.in_flight()), (30_000, 30_000, 0));
    assert_eq!(totals.sli.quantile(share(0.5)), Some(ms(0)));
    assert_near(totals.sli.quantile(share(0.95)), ms(250));
    assert_near(totals.sli.quantile(share(0.99)), ms(450));
    assert_near(totals.sli.quantile(share(0.999)), ms(495));
    assert_near(totals.sli.quantile(Ratio::ONE), ms(500));
    assert_eq!(totals.sli.faster_or_equal(ms(250)).unwrap().bad, 6 * 250);
    assert_eq!(totals.unreliable(), None);
}

#[tokio::test(start_paused = true)]
async fn hits_beyond_the_cap_are_late_and_not_skipped() {
    let options = Options { connections: 2, ..options() };
    // Two answers in 100 ms, where four are wanted.
    let totals = run(open("40/s", ms(1_000)), &options, |_| Script(|| after(ms(100)))).await;
    assert_eq!((totals.due, totals.ended()), (40, 40));
    assert_eq!(totals.in_flight_peak, 2);
    // The first two are sent when they are due; the last is due at 975 ms and sent at 1925.
    assert_eq!(totals.elapsed, ms(2_025));
    assert_eq!(totals.waited_for_a_connection, 38);
    assert_near(totals.lateness.quantile(Ratio::ONE), ms(950));
    assert_near(totals.sli.quantile(Ratio::ONE), ms(1_050));
    assert_near(totals.service.quantile(Ratio::ONE), ms(100));
    assert_eq!(totals.own_lateness.quantile(Ratio::ONE), Some(ms(0)));
    assert_eq!(totals.unreliable(), None);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_not_sent_for_ever() {
    let options = Options { connections: 1, ..options() };
    let hanging = || async {
        let sent = Instant::now();
        sleep(ms(11_000)).await;
        ended(Err(Reason::Timeout(Phase::Wait)), sent)
    };
    let totals = run(open("1/s", ms(10_000)), &options, |_| Script(hanging)).await;
    // Sent at 0, 11, 22 and 33 s.
    assert_eq!((totals.due, totals.ended(), totals.unsent()), (10, 4, 6));
    assert_eq!(totals.elapsed, ms(44_000));
    let why = "6 of 10 attempts have no outcome: 6 never sent, 0 cut off, 0 broken by a bug in firedrill";
    assert_eq!(totals.unreliable().as_deref(), Some(why));
}

#[tokio::test(start_paused = true)]
async fn the_pool_is_no_larger_than_it_needs_to_be() {
    let mut made = 0;
    let new = |_: Ledger| {
        made += 1;
        Script(|| after(ms(25)))
    };
    let totals = run(open("100/s", ms(1_000)), &options(), new).await;
    assert_eq!((totals.ended(), totals.in_flight_peak, made), (100, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn no_time_and_no_users_are_no_load() {
    for schedule in [open("10/s", ms(0)), Schedule::Closed(Crowd::rising(0, ms(0), ms(1)))] {
        let options = options();
        let load = run(schedule, &options, |_| Script(|| after(ms(1))));
        let totals = timeout(ms(10_000), load).await.unwrap();
        assert_eq!((totals.due, totals.ended()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_load_returns_what_it_measured() {
    let options = options();
    let stop = options.stop.clone();
    let load = run(open("100/s", ms(60_000)), &options, |_| Script(|| after(ms(300))));
    let (totals, ()) = tokio::join!(load, async {
        sleep(ms(4_995)).await;
        stop.cancel();
    });
    assert_eq!((totals.due, totals.ended(), totals.cut), (500, 500, 0));
    assert_eq!(totals.elapsed, ms(4_990 + 300));
    assert_eq!(totals.unreliable(), None);
}

#[tokio::test(start_paused = true)]
async fn what_outlasts_a_stop_is_cut_off_and_counted() {
    let options = options();
    let stop = options.stop.clone();
    let load = run(open("10/s", ms(60_000)), &options, |_| Script(|| after(ms(3_600_000))));
    let (totals, ()) = tokio::join!(load, async {
        sleep(ms(1_950)).await;
        stop.cancel();
    });
    assert_eq!((totals.due, totals.ended(), totals.cut, totals.in_flight()), (20, 0, 20, 0));
    assert_eq!(totals.elapsed, ms(2_950));
    assert!(totals.unreliable().is_some());
}

#[tokio::test(start_paused = true)]
async fn stopped_before_it_starts_it_sends_nothing() {
    let options = options();
    options.stop.cancel();
    let totals = run(open("10/s", ms(60_000)), &options, |_| Script(|| after(ms(1)))).await;
    assert_eq!((totals.due, totals.begun), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn failures_count_by_reason_and_do_not_flatter_the_latency() {
    let count = Arc::new(AtomicU32::new(0));
    let new = |_: Ledger| {
        let count = Arc::clone(&count);
        Script(move || {
            let outcome = match count.fetch_add(1, Ordering::Relaxed) % 4 {
                0 => Err(Reason::Status),
                1 => Err(Reason::Timeout(Phase::Wait)),
                _ => Ok(()),
            };
            async move {
                let sent = Instant::now();
                if outcome != Err(Reason::Status) {
                    sleep(ms(50)).await;
                }
                ended(outcome, sent)
            }
        })
    };
    let tally = run(open("100/s", ms(1_000)), &options(), new).await.tally(ms(1_000));
    assert_eq!((tally.due, tally.ended, tally.good, tally.in_flight), (100, 100, 50, 0));
    let reasons = [("status".to_owned(), 25), ("timeout(wait)".to_owned(), 25)];
    assert_eq!(tally.reasons, reasons.into());
    for quantiles in [tally.latency, tally.service] {
        assert_near(quantiles.p50.map(Duration::from), ms(50));
        assert_near(quantiles.max.map(Duration::from), ms(50));
    }
    assert_eq!(tally.lateness.max.map(Duration::from), Some(ms(0)));
}

#[tokio::test(start_paused = true)]
async fn a_shooter_that_panics_breaks_its_own_attempt_only() {
    let count = Arc::new(AtomicU32::new(0));
    let new = |_: Ledger| {
        let count = Arc::clone(&count);
        Script(move || {
            assert_ne!(count.fetch_add(1, Ordering::Relaxed) % 10, 3, "meant to panic");
            after(ms(5))
        })
    };
    let totals = run(open("100/s", ms(1_000)), &Options { connections: 1, ..options() }, new).await;
    assert_eq!((totals.due, totals.ended(), totals.broken, totals.in_flight()), (100, 90, 10, 0));
    let why = "10 of 100 attempts have no outcome: 0 never sent, 0 cut off, 10 broken by a bug in firedrill";
    assert_eq!(totals.unreliable().as_deref(), Some(why));
}

/// A shooter that is late to begin is what a busy machine is.
#[rstest]
#[case::tolerated(ms(9), ms(1), None)]
#[case::too_late(
    ms(20),
    ms(1),
    Some("one attempt in 100 began 20.0 ms late with a connection free, more than 10.0 ms")
)]
#[case::little_beside_what_is_measured(ms(20), ms(50), None)]
#[tokio::test(start_paused = true)]
async fn our_own_lateness_is_told_from_the_target_s(
    #[case] late: Duration,
    #[case] service: Duration,
    #[case] why: Option<&str>,
) {
    let shoot = move || async move {
        sleep(late).await;
        after(service).await
    };
    let totals = run(open("100/s", ms(1_000)), &options(), |_| Script(shoot)).await;
    assert_eq!(totals.unreliable().as_deref(), why);
    assert_near(totals.own_lateness.quantile(Ratio::ONE), late);
    assert_eq!(totals.waited_for_a_connection, 0);
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_every_second() {
    let mut told = Vec::new();
    let mut whole = Totals::default();
    let interval = |interval: Totals| {
        whole.merge(&interval);
        told.push((whole.elapsed, interval.due, whole.in_flight()));
    };
    let schedule = open("100/s", ms(3_500));
    drive(schedule, Instant::now(), &options(), |_| Script(|| after(ms(25))), interval).await;
    let end = (ms(3_490 + 25), 50, 0);
    assert_eq!(told, [(ms(1_000), 100, 2), (ms(2_000), 100, 2), (ms(3_000), 100, 2), end]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_dropped_leaves_nothing_behind() {
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let new = move |_: Ledger| {
        let alive = alive.clone();
        Script(move || {
            let alive = alive.clone();
            async move {
                let shot = after(ms(3_600_000)).await;
                drop(alive);
                shot
            }
        })
    };
    let options = options();
    assert!(timeout(ms(1_000), run(open("10/s", ms(60_000)), &options, new)).await.is_err());
    assert_eq!(timeout(ms(1_000), all_gone.recv()).await, Ok(None));
}

#[rstest]
#[case::all_at_once(ms(0), 10 * 20)]
#[case::one_after_another(ms(1_000), (11..=20).sum())]
#[tokio::test(start_paused = true)]
async fn users_ask_again_when_they_are_answered(#[case] ramp: Duration, #[case] attempts: u64) {
    let crowd = Crowd::rising(10, ramp, ms(2_000).saturating_sub(ramp));
    let totals = run(Schedule::Closed(crowd), &options(), |_| Script(|| after(ms(100)))).await;
    assert_eq!((totals.due, totals.ended(), totals.in_flight_peak), (attempts, attempts, 10));
    assert_eq!(totals.elapsed, ms(2_000));
    assert_near(totals.sli.quantile(Ratio::ONE), ms(100));
    assert_eq!(totals.sli.quantile(Ratio::ONE), totals.service.quantile(Ratio::ONE));
    assert_eq!(totals.lateness.quantile(Ratio::ONE), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_kernel_s_timer_every_hit_is_sent_and_none_early() {
    let (start, count) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let new = |_: Ledger| {
        let count = Arc::clone(&count);
        Script(move || {
            let due = start + ms(2) * count.fetch_add(1, Ordering::Relaxed);
            let sent = Instant::now();
            let outcome = if sent >= due { Ok(()) } else { Err(Reason::Protocol) };
            async move { ended(outcome, sent) }
        })
    };
    let totals = run(open("500/s", ms(200)), &Options::default(), new).await;
    assert_eq!((totals.due, totals.ended(), totals.sli.counts().good), (100, 100, 100));
}

/// Real threads and a real clock: what is counted, not how long it took.
#[rstest]
#[case::open(open("2000/s", ms(300)), Some(600))]
#[case::closed(Schedule::Closed(Crowd::rising(7, ms(0), ms(100))), None)]
#[tokio::test]
async fn threads_share_a_schedule_and_lose_nothing_of_it(
    #[case] schedule: Schedule,
    #[case] attempts: Option<u64>,
) {
    let options = Options { connections: 50, ..Options::default() };
    let crew = Crew::of(std::num::NonZero::new(3).unwrap());
    let mut sum = Totals::default();
    let whole = super::run(
        &schedule,
        crew,
        &options,
        |_| Script(|| after(ms(2))),
        |_, interval| {
            sum.merge(interval);
        },
    );
    let whole = whole.await.unwrap();
    assert_eq!((whole.due, whole.ended(), whole.in_flight()), (whole.begun, whole.begun, 0));
    assert!(attempts.is_none_or(|attempts| whole.due == attempts), "{}", whole.due);
    assert!(whole.ended() >= 7, "every user asks at least once");
    assert_eq!(
        (sum.due, sum.begun, sum.ended(), sum.sli),
        (whole.due, whole.begun, whole.ended(), whole.sli)
    );
}

#[tokio::test(start_paused = true)]
async fn users_think_after_each_answer() {
    let think = Think { least: ms(400), most: ms(400) };
    let stages = [crate::scenario::load::Stage { from: 2.0, to: 2.0, span: ms(1_900) }];
    let crowd = Crowd::new(Curve::new(&stages), think);
    let totals = run(Schedule::Closed(crowd), &options(), |_| Script(|| after(ms(100)))).await;
    // Each asks at 0, 500, 1000 and 1500 ms; by 2000 the load is over.
    assert_eq!((totals.ended(), totals.in_flight_peak), (8, 2));
}

#[tokio::test(start_paused = true)]
async fn users_go_when_the_load_falls_and_nobody_is_cut_off() {
    let stage = |from, to, span| crate::scenario::load::Stage { from, to, span: ms(span) };
    let stages = [stage(10.0, 10.0, 1_050), stage(10.0, 0.0, 1_000)];
    let crowd = Crowd::new(Curve::new(&stages), Think::default());
    let totals = run(Schedule::Closed(crowd), &options(), |_| Script(|| after(ms(100)))).await;
    // User 9 leaves at 1150 ms, user 8 at 1250, user 0 at 2050.
    assert_eq!((totals.ended(), totals.cut), ((12..=21).sum(), 0));
}

#[tokio::test(start_paused = true)]
async fn each_part_has_its_own_books() {
    let count = Arc::new(AtomicU32::new(0));
    let new = |_: Ledger| {
        let count = Arc::clone(&count);
        Script(move || {
            let part = usize::try_from(count.fetch_add(1, Ordering::Relaxed) % 4 / 3).unwrap();
            async move {
                let shot = after(ms(if part == 0 { 10 } else { 70 })).await;
                Shot { part: Some(part), ..shot }
            }
        })
    };
    let totals = run(open("100/s", ms(1_000)), &Options { parts: 2, ..options() }, new).await;
    assert_eq!(totals.parts.iter().map(|part| part.counts().good).collect::<Vec<_>>(), [75, 25]);
    assert_near(totals.parts[0].quantile(Ratio::ONE), ms(10));
    assert_near(totals.parts[1].quantile(share(0.01)), ms(70));
    assert_eq!(totals.part(1).ended, 25);
}
