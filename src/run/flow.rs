//! A user's way through the steps of a flow: what is filled in, what is kept on the way, and what came of each step.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use url::Host;

use super::kept::{Kept, Seen};
use crate::load::wire::{Answer, Line};
use crate::load::{Ledger, Leg, Shot};
use crate::probe::attempt::{Breach, Session, attempt};
use crate::probe::cookies::Jar;
use crate::probe::draft::{self, Draft};
use crate::probe::http::{Client, Response, Written};
use crate::probe::weigh;
use crate::sample::{Cause, Reason};
use crate::scenario::capture::Traced;
use crate::scenario::http::Http;
use crate::scenario::load::Ask;
use crate::scenario::load::data::Data;
use crate::scenario::predicate::Predicate;
use crate::scenario::step::{Does, Step};
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Shape, Template, Unset};
use crate::source::{At, Place};
use crate::units::Ratio;

/// The steps of a flow, made ready.
pub(super) struct Flow {
    deeds: Vec<Deed>,
    /// The names that are given values on the way.
    varying: BTreeSet<String>,
    /// Which of the data's columns are used, and by what name.
    columns: Vec<(usize, String)>,
    /// The names whose values must not be seen.
    secrets: Vec<String>,
    base: Scope,
    /// Of how many answers more than the status is looked at.
    examined: Ratio,
}

/// A step of a flow.
enum Deed {
    Wait(Duration),
    Set(Vec<(At<String>, At<Shape>)>),
    Ask(Box<Asked>),
}

/// A step that asks something.
pub(super) struct Asked {
    step: Step,
    /// Which books it has.
    part: Option<usize>,
    /// The request, where the fast path can send it, and which of its servers it goes to.
    wired: Option<(Draft, usize)>,
    host: Result<Host, String>,
    timeout: Duration,
}

/// Who goes the way: what is known on it, and connections that outlast it.
pub(super) struct Traveller {
    scope: Scope,
    session: Session,
    bytes: Vec<u8>,
}

/// What came of a step.
struct Taken {
    sent: Instant,
    ended: Instant,
    breaches: Vec<Breach>,
    captured: Vec<(String, Value, bool)>,
    seen: Option<Seen>,
}

/// What every way of a flow has in common with the others of its load.
pub(super) struct Common<'a> {
    pub(super) lines: &'a mut [Line],
    pub(super) ledger: &'a Ledger,
    pub(super) kept: &'a Kept,
    pub(super) row: Option<&'a [Value]>,
    /// Which books the whole flow has.
    pub(super) part: Option<usize>,
}

impl Flow {
    /// Makes a flow ready. `road` says which of the fast path's servers a request goes to; the steps' books begin at
    /// `part`, where they have any; the request of a load that is no flow has `timeout`.
    ///
    /// # Errors
    /// When a name that is not given on the way has no value.
    pub(super) fn new(
        ask: &Ask,
        data: Option<&Data>,
        (scope, session): (&Scope, &Session),
        (examined, timeout): (Ratio, Duration),
        mut part: usize,
        mut road: impl FnMut(&Written) -> usize,
    ) -> Result<Self, Unset> {
        let columns = used(ask, data);
        let varying = varying(ask, &columns);
        let mut deeds = Vec::new();
        for step in &ask.steps {
            deeds.push(match &step.does {
                Does::Wait(span) => Deed::Wait(*span),
                Does::Set(vars) => Deed::Set(vars.clone()),
                Does::Probe(probe) => {
                    let draft = match step.http() {
                        Some(http) => Draft::of(http, &varying, scope, session)?,
                        None => None,
                    };
                    let wired = draft.map(|draft| {
                        let road = road(draft.written());
                        (draft, road)
                    });
                    let host = match probe.told().target() {
                        Some(target) => {
                            draft::host(&target.at.value, &varying, scope)?.map_err(|why| why.to_string())
                        }
                        None => Err("it goes to no host".to_owned()),
                    };
                    let host = host.map_err(|why| format!("`{}`: {why}", step.name));
                    let timeout = if ask.flow { step.timeout } else { timeout };
                    let books = ask.flow.then_some(part);
                    part += 1;
                    Deed::Ask(Box::new(Asked { step: step.clone(), part: books, wired, host, timeout }))
                }
                Does::Load(_) | Does::Quiet(_) | Does::Monitoring(_) | Does::Fault(_) | Does::Use(_) => {
                    continue;
                }
            });
        }
        let captures = ask.steps.iter().flat_map(|step| &step.captures);
        let secrets = captures.filter(|capture| capture.secret).map(|capture| capture.name.value.clone());
        Ok(Self { deeds, varying, columns, secrets: secrets.collect(), base: scope.clone(), examined })
    }

    /// The hosts that are asked, or why one is not known.
    pub(super) fn hosts(&self) -> impl Iterator<Item = Result<Host, String>> {
        self.deeds.iter().filter_map(|deed| match deed {
            Deed::Ask(asked) => Some(asked.host.clone()),
            Deed::Wait(_) | Deed::Set(_) => None,
        })
    }

    /// Somebody to go this way, again and again, each time as if for the first time; with cookies and captures of
    /// `session` at its beginning.
    pub(super) fn traveller(&self, session: &Session) -> Traveller {
        let mut session = session.apart();
        session.client = Client::keeping();
        Traveller { scope: self.base.clone(), session, bytes: Vec::new() }
    }

    /// Goes the way once, up to the first step that fails.
    pub(super) async fn travel(&self, who: &mut Traveller, common: Common<'_>) -> Shot {
        let Common { lines, ledger, kept, row, part } = common;
        let began = Instant::now();
        self.begin(who, row);
        let (mut ended, mut paused, mut pause) = (began, Duration::ZERO, Duration::ZERO);
        let mut outcome = Ok(());
        for deed in &self.deeds {
            let asked = match deed {
                Deed::Wait(span) => {
                    let from = Instant::now();
                    sleep(*span).await;
                    pause += from.elapsed();
                    continue;
                }
                Deed::Set(vars) => {
                    let unset = vars.iter().find_map(|(name, shape)| who.set(name, shape).err());
                    let Some((unset, place)) = unset else { continue };
                    let breach = unset_breach(&unset, place);
                    outcome = Err(breach.reason);
                    kept.keep(vec![breach], part, began, || Seen::All(Box::default()));
                    break;
                }
                Deed::Ask(asked) if !asked.step.when.iter().all(|when| holds(when, &who.scope)) => continue,
                Deed::Ask(asked) => asked,
            };
            paused += std::mem::take(&mut pause);
            let taken = asked.take(who, lines, self.draw()).await;
            ended = taken.ended;
            outcome = taken.breaches.first().map_or(Ok(()), |breach| Err(breach.reason));
            let took = taken.ended.saturating_duration_since(taken.sent);
            if let Some(part) = asked.part {
                ledger.note(Leg { outcome, part, took });
            }
            if outcome.is_err() {
                let Taken { breaches, captured, seen, .. } = taken;
                let seen = || {
                    // Told to the mask only of what is shown: of many users it would know too many.
                    captured
                        .iter()
                        .filter(|(.., secret)| *secret)
                        .for_each(|(_, value, _)| who.scope.hide(value));
                    self.secrets
                        .iter()
                        .filter_map(|name| who.scope.get(name))
                        .for_each(|value| who.scope.hide(value));
                    seen.unwrap_or_else(|| Seen::All(Box::default()))
                };
                kept.keep(breaches, asked.part.or(part), ended, seen);
                break;
            }
            taken.captured.into_iter().for_each(|(name, value, _)| who.scope.set(name, value));
        }
        Shot { outcome, part, sent: began, ended, paused, lingered: true }
    }

    /// Forgets what the last way brought, and gives this one its row of data.
    fn begin(&self, who: &mut Traveller, row: Option<&[Value]>) {
        who.session.client.jar = Jar::default();
        for name in &self.varying {
            match self.base.get(name) {
                Some(value) => who.scope.set(name.as_str(), value.clone()),
                None => who.scope.unset(name),
            }
        }
        let row = row.unwrap_or_default();
        for (column, name) in &self.columns {
            if let Some(value) = row.get(*column) {
                who.scope.set(name.as_str(), value.clone());
            }
        }
    }

    /// Whether this answer is among those that are looked at.
    fn draw(&self) -> bool {
        self.examined >= Ratio::ONE || rand::random::<f64>() < self.examined.share()
    }
}

/// The columns that the steps of `ask` use: which, and by what name.
fn used(ask: &Ask, data: Option<&Data>) -> Vec<(usize, String)> {
    let used: BTreeSet<_> = ask.steps.iter().flat_map(Step::holes).map(|(hole, _)| &hole.name).collect();
    let names = data.iter().flat_map(|data| data.names.iter().enumerate());
    names.filter(|(_, name)| used.contains(name)).map(|(column, name)| (column, name.clone())).collect()
}

/// The names that are given values on the way.
fn varying(ask: &Ask, columns: &[(usize, String)]) -> BTreeSet<String> {
    let mut varying: BTreeSet<String> = columns.iter().map(|(_, name)| name.clone()).collect();
    for step in &ask.steps {
        varying.extend(step.captures.iter().map(|capture| capture.name.value.clone()));
        if step.does.traces() {
            varying.extend(Traced::ALL.map(|traced| traced.name().to_owned()));
        }
        if let Does::Set(vars) = &step.does {
            varying.extend(vars.iter().map(|(name, _)| name.value.clone()));
        }
    }
    varying
}

fn holds((template, predicate): &(At<Template>, At<Predicate>), scope: &Scope) -> bool {
    let value = template.value.value(scope).ok();
    predicate.test(value.as_ref().map_or(Subject::Absent, Subject::Json), scope).is_ok()
}

fn unset_breach(unset: &Unset, place: Place) -> Breach {
    Breach::new(Reason::Policy, place, unset.to_string(), "needed here")
}

impl Asked {
    /// Makes its attempt.
    async fn take(&self, who: &mut Traveller, lines: &mut [Line], examine: bool) -> Taken {
        if let (Some((draft, road)), Some(http)) = (&self.wired, self.step.http())
            && let Some(line) = lines.get_mut(*road)
        {
            let cookies = who.cookies(http);
            if draft.fill(&who.scope, cookies.as_ref(), &mut who.bytes) {
                return self.by_wire(draft, http, who, line, examine).await;
            }
        }
        let sent = Instant::now();
        let Does::Probe(probe) = &self.step.does else {
            return Taken { sent, ended: sent, breaches: Vec::new(), captured: Vec::new(), seen: None };
        };
        // On the heap: it holds a whole conversation, and everything above would hold it too.
        let made = Box::pin(attempt(&self.step, probe, self.timeout, &who.scope, &mut who.session)).await;
        let ended = Instant::now();
        match made {
            Ok(made) => {
                made.trace.iter().for_each(|(name, value)| who.scope.set(*name, value.as_str()));
                let seen = Some(Seen::All(Box::new(made.evidence)));
                Taken { sent, ended, breaches: made.breaches, captured: made.captured, seen }
            }
            Err(unset) => {
                let breaches = vec![unset_breach(&unset, self.step.place)];
                Taken { sent, ended, breaches, captured: Vec::new(), seen: None }
            }
        }
    }

    async fn by_wire(
        &self,
        draft: &Draft,
        http: &Http,
        who: &mut Traveller,
        line: &mut Line,
        examine: bool,
    ) -> Taken {
        let done = line.exchange(&who.bytes, draft.written(), true, self.timeout).await;
        let (sent, ended) = (done.sent, done.ended);
        let result: Result<Response, Cause> = done.result.map(Answer::take_response);
        let (breaches, captured) = match &result {
            Err(cause) => (vec![weigh::lost(http, cause.clone())], Vec::new()),
            Ok(response) => {
                who.take_cookies(http, response);
                if examine || !self.step.captures.is_empty() {
                    let made = weigh::answered(&self.step, http, response, ended - sent, &who.scope);
                    (made.breaches, made.captured)
                } else {
                    (weigh::status(&self.step, http, response.status, ended - sent, &who.scope), Vec::new())
                }
            }
        };
        let seen = (!breaches.is_empty()).then(|| {
            let url = http.url.fill(&who.scope).unwrap_or_default();
            Seen::All(Box::new(weigh::evidence(http, url, result)))
        });
        Taken { sent, ended, breaches, captured, seen }
    }
}

impl Traveller {
    fn set(&mut self, name: &At<String>, shape: &At<Shape>) -> Result<(), (Unset, Place)> {
        let value = shape.value.value(&self.scope).map_err(|unset| (unset, shape.place))?;
        self.scope.set(name.value.as_str(), value);
        Ok(())
    }

    /// The cookies that go with a request.
    fn cookies(&self, http: &Http) -> Option<http::HeaderValue> {
        let jar = &self.session.client.jar;
        if jar.is_empty() {
            return None;
        }
        jar.header_for(&self.url(http)?, jiff::Timestamp::now())
    }

    fn take_cookies(&mut self, http: &Http, response: &Response) {
        if response.headers.contains_key(http::header::SET_COOKIE)
            && let Some(url) = self.url(http)
        {
            self.session.client.jar.store(&url, &response.headers, jiff::Timestamp::now());
        }
    }

    fn url(&self, http: &Http) -> Option<url::Url> {
        http.url.fill(&self.scope).ok()?.parse().ok()
    }
}
