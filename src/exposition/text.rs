//! Prometheus text 0.0.4, as leniently as Prometheus reads it.
//!
//! Families may come in pieces, a series may come twice, and the last word about a family counts.

use std::collections::HashMap;

use super::line::{self, About, Line};
use super::{Dialect, Family, Kind, Malformed, bounded};

pub(super) fn parse(page: &str) -> Result<Vec<Family>, Malformed> {
    let mut families = Families::default();
    let mut series = 0;
    for (number, text) in (1..).zip(page.split('\n')) {
        match line::read(text, Dialect::Text).map_err(|what| Malformed::new(number, what))? {
            Line::Blank => {}
            Line::About { name, about } => {
                let family = families.named(name);
                match about {
                    About::Help(help) => family.help = help,
                    About::Kind(kind) => family.kind = kind,
                    About::Unit(unit) => family.unit = unit,
                }
            }
            Line::Sample { sample, exemplar: _ } => {
                series += 1;
                families.of_sample(&sample.name).samples.push(sample);
            }
        }
        bounded(series.max(families.all.len()), number)?;
    }
    Ok(families.all)
}

/// The families so far, and where each is.
#[derive(Default)]
struct Families {
    all: Vec<Family>,
    places: HashMap<String, usize>,
}

impl Families {
    /// The family of this name, which begins untyped.
    fn named(&mut self, name: String) -> &mut Family {
        let place = *self.places.entry(name).or_insert_with_key(|name| {
            self.all.push(Family::new(name, Kind::Unknown));
            self.all.len() - 1
        });
        &mut self.all[place]
    }

    /// The family that a sample belongs to: the one of its name, else a histogram or summary it is part of.
    fn of_sample(&mut self, sample: &str) -> &mut Family {
        let whole = || {
            ["_bucket", "_count", "_sum"].into_iter().find_map(|suffix| {
                let place = *self.places.get(sample.strip_suffix(suffix)?)?;
                let kind = self.all[place].kind;
                let part = kind == Kind::Histogram || (kind == Kind::Summary && suffix != "_bucket");
                part.then_some(place)
            })
        };
        match self.places.get(sample).copied().or_else(whole) {
            Some(place) => &mut self.all[place],
            None => self.named(sample.to_owned()),
        }
    }
}
