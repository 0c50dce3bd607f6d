//! The page: what stands in it, that it is whole, and that nothing from outside becomes a part of it.

use std::time::Duration;

use regex::Regex;

use super::*;
use crate::event::{Event, FaultStage, Nanos, Stamped, Tally};
use crate::report::fixture::{HOSTILE, events, hostile_events, step, written};
use crate::report::text::steers;
use crate::report::whole::Whole;

fn page(events: &[Stamped]) -> String {
    written(|out| Whole::new("report.html".into(), out, |run, out| write(run, None, out)), events)
}

/// The tags of a page that is whole: each is opened, has attributes in quotes, and is closed in its turn.
fn tags(page: &str) -> Vec<String> {
    const VOID: [&str; 3] = ["meta", "br", "!doctype"];
    let shape =
        Regex::new(r#"^/?!?[a-z][a-z0-9]*( html)?( [a-zA-Z][a-zA-Z0-9-]*(="[^"<>]*")?)*/?$"#).unwrap();
    let (_, body) = page.split_once("</style>").unwrap();
    let (mut open, mut all) = (vec!["html".to_owned(), "head".to_owned()], Vec::new());
    for piece in body.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("`<{piece}` is not closed"));
        assert!(shape.is_match(tag), "`<{tag}>` is no tag");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "{all:?}");
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name.clone());
        }
        all.push(name);
    }
    assert!(open.is_empty(), "{open:?} are left open");
    all
}

#[test]
fn a_run_is_written_whole() {
    let page = page(&events());
    tags(&page);
    insta::assert_snapshot!(page.replace(CSS, ""));
}

/// Load with a moment each second, and a fault that was lifted.
fn long_events() -> Vec<Stamped> {
    let mut all = Vec::new();
    for stamped in events() {
        if let Event::Loading { step, length, tally, recent, .. } = &stamped.event {
            all.extend((1..=20u64).map(|second| {
                let elapsed = Nanos::from(Duration::from_secs(second));
                let tally = Tally { ended: second * 50, good: second * 49, ..tally.clone() };
                let (step, length, recent) = (step.clone(), *length, recent.clone());
                Stamped {
                    at: stamped.at,
                    event: Event::Loading { step, elapsed, length, tally, recent, interval: None },
                }
            }));
        } else if let Event::Fault { step, fault, .. } = &stamped.event {
            let stages = [(0, FaultStage::Added), (6_000_000_000, FaultStage::Lifted)];
            all.extend(stages.map(|(after, stage)| {
                let (step, fault, what) = (step.clone(), fault.clone(), String::new());
                Stamped { at: stamped.at + after, event: Event::Fault { step, fault, stage, what } }
            }));
        } else {
            all.push(stamped);
        }
    }
    all
}

#[test]
fn load_and_drills_are_drawn() {
    let page = page(&long_events());
    let drawn = tags(&page).iter().filter(|tag| *tag == "polyline").count();
    assert_eq!(drawn, 3, "p50 and p99 over time, and latency by percentile");
    assert!(page.contains(">SLO 250 ms</text>"), "{page}");
    // Six seconds at sixty times the clock.
    assert!(page.contains("lifted after 6m"), "{page}");
}

#[test]
fn a_run_that_was_cut_off_says_so_first() {
    let mut events = events();
    events.truncate(9);
    let page = page(&events);
    tags(&page);
    let warning = page.find("Not whole.").unwrap();
    assert!(warning < page.find("Every step").unwrap());
    assert!(page.contains("NOT MEASURED"));
}

#[test]
fn of_nothing_there_is_a_page_too() {
    tags(&page(&[]));
}

#[test]
fn nothing_a_target_sends_becomes_a_part_of_the_page() {
    const TAG: &str = "\"><script>alert(1)</script><img src=x onerror='x'>";
    let mut events = hostile_events();
    let json = serde_json::to_string(&events).unwrap();
    let escaped = |text: &str| serde_json::to_string(text).unwrap().trim_matches('"').to_owned();
    let tagged = json
        .replace(&escaped(HOSTILE), &escaped(TAG))
        .replace("\"hostile\"", &format!("\"{}\"", escaped(TAG)));
    events.extend(serde_json::from_str::<Vec<Stamped>>(&tagged).unwrap());
    let page = page(&events);
    let names = tags(&page);
    for bad in ["script", "img", "failure"] {
        assert!(!names.iter().any(|name| name == bad), "<{bad}> is in the page");
    }
    assert!(!page.contains(|sign| sign != '\n' && steers(sign)));
}

#[test]
fn a_thousand_steps_that_fail_stay_under_two_megabytes() {
    let pattern = events();
    let of = |kind: fn(&Event) -> bool| {
        pattern.iter().find(|stamped| kind(&stamped.event)).map(|stamped| stamped.event.clone()).unwrap()
    };
    let (started, attempted) = (of(|event| matches!(event, Event::ScenarioStarted { .. })), {
        let failed =
            |event: &Event| matches!(event, Event::Attempted { failures, .. } if !failures.is_empty());
        of(failed)
    });
    let mut events = vec![Stamped { at: 0, event: started }];
    for number in 0..1000 {
        let (mut event, id) = (attempted.clone(), step("quickstart", number, "a step", "http"));
        if let Event::Attempted { step, evidence, .. } = &mut event {
            *step = id.clone();
            evidence.body = Some("<&>\"".repeat(16 << 10));
        }
        events.push(Stamped { at: 1, event });
        let ended = Event::StepEnded {
            step: id,
            outcome: Outcome::Failed,
            attempts: 1,
            took: Nanos(5_000_000),
            why: None,
        };
        events.push(Stamped { at: 2, event: ended });
    }
    let page = page(&events);
    tags(&page);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert!(page.contains("left out: there is no room here for more"));
}
