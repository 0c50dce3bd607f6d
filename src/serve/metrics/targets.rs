//! The families of targets of lists: what was last seen of each under the labels of its list, and how often it was.

use std::collections::BTreeMap;

use super::{labels, push};
use crate::exposition::{Family, Kind, Labels};
use crate::serve::histogram::{family, number};
use crate::serve::house::House;

pub(super) fn families(house: &House) -> Vec<Family> {
    let help = "Whether a list of targets was sound when it was last read; one that is not changes nothing.";
    let mut sound = family("firedrill_targets_list_sound", Kind::Gauge, help);
    for (list, trouble) in house.targets.troubles() {
        push(&mut sound, "", labels([("list", &list)]), f64::from(u8::from(trouble.is_none())));
    }
    let help = "Probes of a target of a list, good and bad.";
    let mut probes = family("firedrill_target_probes", Kind::Counter, help);
    let help = "Times a target of a list was due while it was still being probed.";
    let mut missed = family("firedrill_target_missed", Kind::Counter, help);
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
    for (target, seen) in house.targets.seen() {
        for (result, times) in [("good", seen.good), ("bad", seen.bad)] {
            let mut own = target.labels.clone();
            own.insert("result".to_owned(), result.to_owned());
            push(&mut probes, "_total", own, number(times));
        }
        push(&mut missed, "_total", target.labels.clone(), number(seen.missed));
        for family in seen.families {
            let into = all
                .entry(family.name.clone())
                .or_insert_with(|| Family { samples: Vec::new(), ..family.clone() });
            into.samples.extend(family.samples.into_iter().map(|mut sample| {
                sample.labels = labelled(&target.labels, sample.labels);
                sample
            }));
        }
    }
    all.into_values().chain([sound, probes, missed]).collect()
}

/// The labels of a list and those of a series; where both have one, the series' own is `exported_…`, as by Prometheus.
fn labelled(of_list: &Labels, own: Labels) -> Labels {
    let mut all = of_list.clone();
    for (name, value) in own {
        let name = if of_list.contains_key(&name) { format!("exported_{name}") } else { name };
        all.insert(name, value);
    }
    all
}
