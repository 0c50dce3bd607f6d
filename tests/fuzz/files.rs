//! Files of every kind, changed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use firedrill::plan::{Surroundings, read};
use proptest::prelude::*;

use super::cases;
use super::mutate::mutated_text;

/// Sound files of every kind, every kind of step among them.
const SOUND: [&str; 14] = [
    include_str!("../../scenarios/quickstart.yaml"),
    include_str!("../../scenarios/real/servers.yaml"),
    include_str!("../../scenarios/probes/dns.yaml"),
    include_str!("../../scenarios/probes/exec.yaml"),
    include_str!("../../scenarios/probes/grpc.yaml"),
    include_str!("../../scenarios/probes/icmp.yaml"),
    include_str!("../../scenarios/probes/kubelet.yaml"),
    include_str!("../../scenarios/probes/logs.yaml"),
    include_str!("../../scenarios/probes/promql.yaml"),
    include_str!("../../scenarios/probes/tls.yaml"),
    include_str!("../../slos/quickstart.yaml"),
    include_str!("../../fixtures/shop/shop.yaml"),
    include_str!("../../fixtures/shop/alone.yaml"),
    include_str!("../../fixtures/probes/deployment.yaml"),
];

/// A file that goes with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("fuzz-{}-{}.yaml", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn every_file_ends_in_a_plan_or_in_findings_that_can_be_drawn() {
    let scratch = Scratch::new();
    proptest!(cases(400, 1), |(text in mutated_text(&SOUND))| {
        std::fs::write(&scratch.0, &text).unwrap();
        let reading = read(std::slice::from_ref(&scratch.0), &Surroundings::default());
        for finding in &reading.findings {
            let drawn = finding.draw(&reading.sources).render(false);
            prop_assert!(drawn.len() < 1 << 20, "{} bytes are drawn", drawn.len());
        }
        prop_assert!(reading.plan.is_some() || !reading.findings.is_empty());
    });
}
