//! What makes a load's attempts: for each of the things that are asked the request, made once, and what its answer
//! must be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use serde_json::Value;
use tokio::time::Instant;
use url::Host;

use super::flow::{Common, Flow, Traveller};
use super::kept::{Kept, Seen};
use super::sockets::Sockets;
use super::walk::Walker;
use crate::load::wire::Line;
use crate::load::{Ledger, Shard, Shooter, Shot};
use crate::probe::attempt::{Breach, Session};
use crate::probe::http::Written;
use crate::probe::volley::Volley;
use crate::probe::weigh;
use crate::scenario::http::Http;
use crate::scenario::load::data::{Data, Take};
use crate::scenario::load::{Ask, Load};
use crate::scenario::template::{Scope, Unset};
use crate::units::Ratio;

/// Everything that the guns of a load share.
#[derive(Clone)]
pub(super) struct Battery {
    barrels: Arc<[Barrel]>,
    /// Of all barrels together.
    weight: u64,
    /// How many servers the fast path goes to.
    roads: usize,
    timeout: Duration,
    /// Of how many answers more than the status is looked at.
    examined: Ratio,
    supply: Option<Arc<Supply>>,
    /// What its travellers begin with.
    session: Arc<Session>,
    kept: Kept,
}

/// One of the things that are asked.
struct Barrel {
    charge: Charge,
    /// How often, with those before it.
    weight_up_to: u64,
    /// Which books it has, where there is more than one thing.
    part: Option<usize>,
}

/// What is done.
enum Charge {
    /// A request that is the same each time.
    Single {
        volley: Box<Volley>,
        /// As it is written.
        http: Box<Http>,
        /// The request as bytes, where the fast path can send it.
        wired: Option<Box<Wired>>,
    },
    /// Steps of which each may depend on those before it.
    Flow(Box<Flow>),
    /// Connections that are held.
    Sockets(Box<Sockets>),
    /// Nothing, for a reason.
    Barred(String),
}

/// What the fast path sends.
struct Wired {
    written: Written,
    /// Whether more than the status of an answer is looked at.
    keep: bool,
    /// Which of its servers it goes to.
    road: usize,
}

/// Where the rows of data come from.
struct Supply {
    data: Data,
    next: AtomicU64,
    shard: Shard,
}

impl Supply {
    /// The row for a hit or a user of that number.
    fn row(&self, number: u64) -> Option<&[Value]> {
        let rows = self.data.rows.len() as u64;
        let index = match self.data.take {
            Take::InTurn => self.shard.nth(self.next.fetch_add(1, Ordering::Relaxed)).checked_rem(rows)?,
            Take::AtRandom => rand::rng().random_range(0..rows.max(1)),
            Take::OnePerUser => number.checked_rem(rows)?,
        };
        self.data.rows.get(usize::try_from(index).ok()?).map(Vec::as_slice)
    }
}

/// The servers of the fast path.
#[derive(Default)]
struct Roads(Vec<Written>);

impl Roads {
    /// Which of them a request goes to, and in the same way.
    fn of(&mut self, written: &Written) -> usize {
        let same = |known: &Written| {
            (&known.to, known.secure, &known.options) == (&written.to, written.secure, &written.options)
        };
        self.0.iter().position(same).unwrap_or_else(|| {
            self.0.push(written.clone());
            self.0.len() - 1
        })
    }
}

impl Battery {
    /// Makes every request of the load.
    ///
    /// # Errors
    /// When a name that a request needs has no value.
    pub(super) fn new(walker: &Walker, load: &Load) -> Result<Self, Unset> {
        let mut session = walker.session.apart();
        let allowed = load.allow_targets.iter().map(|at| at.value.clone()).chain(walker.own_hosts());
        session.policy = Arc::new(session.policy.of_load(allowed.collect()));
        let mut barrels: Vec<Barrel> = Vec::new();
        let (mut weight, mut parts, mut roads) = (0, 0, Roads::default());
        for ask in &load.asks {
            let part = (load.asks.len() > 1).then_some(parts);
            parts += usize::from(part.is_some());
            weight += u64::from(ask.weight);
            let charge = charge((&walker.scope, &session), load, ask, parts, &mut roads)?;
            parts += ask.told().count() + ask.books().count();
            barrels.push(Barrel { charge, weight_up_to: weight, part });
        }
        let supply = load
            .data
            .clone()
            .map(|data| Arc::new(Supply { data, next: AtomicU64::new(0), shard: walker.shard }));
        Ok(Self {
            barrels: barrels.into(),
            weight,
            roads: roads.0.len(),
            timeout: load.timeout,
            examined: load.examined,
            supply,
            session: Arc::new(session),
            kept: Kept::new(),
        })
    }

    /// The hosts that are asked, or why one is not known.
    pub(super) fn hosts(&self) -> impl Iterator<Item = Result<Host, String>> {
        self.barrels.iter().flat_map(|barrel| match &barrel.charge {
            Charge::Single { volley, .. } => volley.host().map(Ok).into_iter().collect::<Vec<_>>(),
            Charge::Flow(flow) => flow.hosts().collect(),
            Charge::Sockets(sockets) => vec![Ok(sockets.host())],
            Charge::Barred(why) => vec![Err(why.clone())],
        })
    }

    /// How many servers each of those who ask may hold a connection to.
    pub(super) fn roads(&self) -> usize {
        self.roads.max(1)
    }

    /// The failures that were kept.
    pub(super) fn kept(&self) -> Kept {
        self.kept.clone()
    }

    /// Connections for one attempt at a time.
    pub(super) fn gun(&self, ledger: Ledger) -> Gun {
        let lines = (0..self.roads).map(|_| Line::new()).collect();
        let hands = self.barrels.iter().map(|barrel| match &barrel.charge {
            Charge::Single { wired: Some(_), .. } | Charge::Sockets(_) | Charge::Barred(_) => Hand::Empty,
            Charge::Single { volley, .. } => Hand::Volley(Box::new(volley.another())),
            Charge::Flow(flow) => Hand::Traveller(Box::new(flow.traveller(&self.session))),
        });
        Gun { battery: self.clone(), lines, hands: hands.collect(), ledger }
    }

    /// One of the things that are asked, each as often as its weight says.
    fn pick(&self) -> usize {
        if self.barrels.len() == 1 {
            return 0;
        }
        let drawn = rand::rng().random_range(0..self.weight);
        self.barrels.partition_point(|barrel| barrel.weight_up_to <= drawn)
    }

    /// Whether more than the status of this answer is looked at.
    fn examines(&self) -> bool {
        self.examined >= Ratio::ONE || rand::random::<f64>() < self.examined.share()
    }
}

/// Makes ready what is asked; the books of its steps begin at `parts`.
fn charge(
    (scope, session): (&Scope, &Session),
    load: &Load,
    ask: &Ask,
    parts: usize,
    roads: &mut Roads,
) -> Result<Charge, Unset> {
    let single = ask.request().filter(|_| ask.columns().next().is_none());
    let Some((http, expect)) = single else {
        let told = (load.examined, load.timeout);
        let road = |written: &Written| roads.of(written);
        let flow = Flow::new(ask, load.data.as_ref(), (scope, session), told, parts, road)?;
        return Ok(Charge::Flow(Box::new(flow)));
    };
    let volley = Volley::new(http, expect, load.timeout, scope, session)?;
    if let Some(said) = &ask.sockets {
        return Ok(match volley.written() {
            Some(Ok(written)) => {
                let numbers = (roads.of(&written), parts);
                let sockets = Sockets::new((http, said), written, numbers, load.timeout, scope)?;
                Charge::Sockets(Box::new(sockets))
            }
            Some(Err(cause)) => Charge::Barred(cause.to_string()),
            None => {
                let name = &ask.name;
                Charge::Barred(format!("`{name}` cannot be opened as it is asked for, or goes by a proxy"))
            }
        });
    }
    // What cannot be written is not sent either, and the volley says why.
    let wired = volley.written().and_then(Result::ok).map(|written| {
        let road = roads.of(&written);
        Box::new(Wired { written, keep: !volley.asks_for_a_status_only(), road })
    });
    Ok(Charge::Single { volley: Box::new(volley), http: Box::new(http.clone()), wired })
}

/// What a gun holds of one of the things that are asked.
enum Hand {
    /// Nothing: the fast path's connections are all it takes.
    Empty,
    Volley(Box<Volley>),
    Traveller(Box<Traveller>),
}

/// Makes a load's attempts on connections of its own.
pub(super) struct Gun {
    battery: Battery,
    /// One for each server of the fast path.
    lines: Vec<Line>,
    /// For each of the things that are asked.
    hands: Vec<Hand>,
    /// Where the steps of flows are noted.
    ledger: Ledger,
}

impl Gun {
    /// Sends a request that is the same each time.
    async fn by_wire(&mut self, at: usize) -> Option<Shot> {
        let Barrel { charge, part, .. } = &self.battery.barrels[at];
        let Charge::Single { volley, http, wired: Some(wired) } = charge else { return None };
        let Wired { written, keep, road } = &**wired;
        let kept = &self.battery.kept;
        let (examine, wants_all) = (*keep && self.battery.examines(), kept.wants_all());
        let line = &mut self.lines[*road];
        let done = line.exchange(&written.bytes, written, examine || wants_all, self.battery.timeout).await;
        let (sent, ended, took) = (done.sent, done.ended, done.ended - done.sent);
        let shot = |breaches: &[Breach]| {
            let outcome = breaches.first().map_or(Ok(()), |breach| Err(breach.reason));
            Shot { outcome, part: *part, sent, ended, paused: Duration::ZERO, lingered: false }
        };
        let (breaches, result) = match done.result {
            Ok(answer) if !examine && !wants_all => {
                let breaches = volley.judge_status(answer.status(), took);
                if breaches.is_empty() {
                    return Some(shot(&breaches));
                }
                (breaches, Ok(answer.take_response()))
            }
            Ok(answer) if !examine => {
                (volley.judge_status(answer.status(), took), Ok(answer.take_response()))
            }
            Ok(answer) => {
                let response = answer.take_response();
                (volley.judge(&response, took), Ok(response))
            }
            Err(cause) => (volley.lost(cause.clone()), Err(cause)),
        };
        let shot = shot(&breaches);
        if shot.outcome.is_err() {
            let all = examine || wants_all || result.is_err();
            kept.keep(breaches, *part, ended, || {
                let url = volley.url().unwrap_or_default();
                let evidence = Box::new(weigh::evidence(http, url, result));
                if all { Seen::All(evidence) } else { Seen::Part(evidence) }
            });
        }
        Some(shot)
    }

    /// Makes an attempt with what is held for it.
    async fn by_hand(&mut self, at: usize, number: u64) -> Shot {
        let Self { battery, lines, hands, ledger } = self;
        let Barrel { charge, part, .. } = &battery.barrels[at];
        let part = *part;
        match (charge, &mut hands[at]) {
            (Charge::Flow(flow), Hand::Traveller(traveller)) => {
                let row = battery.supply.as_ref().and_then(|supply| supply.row(number));
                let common = Common { lines, ledger, kept: &battery.kept, row, part };
                // On the heap: what takes long is not held by those who do something else.
                Box::pin(flow.travel(traveller, common)).await
            }
            (Charge::Sockets(sockets), _) => match lines.get_mut(sockets.road) {
                Some(line) => Box::pin(sockets.open(line, ledger, &battery.kept, part)).await,
                None => nothing(part),
            },
            (_, Hand::Volley(volley)) => {
                let sent = Instant::now();
                let (breaches, evidence) = Box::pin(volley.shoot()).await;
                let ended = Instant::now();
                let outcome = breaches.first().map_or(Ok(()), |breach| Err(breach.reason));
                battery.kept.keep(breaches, part, ended, || Seen::All(Box::new(evidence)));
                Shot { outcome, part, sent, ended, paused: Duration::ZERO, lingered: false }
            }
            (_, Hand::Empty | Hand::Traveller(_)) => nothing(part),
        }
    }
}

/// The attempt that nothing came of, for nothing was to be done.
fn nothing(part: Option<usize>) -> Shot {
    let now = Instant::now();
    Shot { outcome: Ok(()), part, sent: now, ended: now, paused: Duration::ZERO, lingered: false }
}

impl Shooter for Gun {
    async fn shoot(&mut self, number: u64) -> Shot {
        let at = self.battery.pick();
        match self.by_wire(at).await {
            Some(shot) => shot,
            None => self.by_hand(at, number).await,
        }
    }
}
