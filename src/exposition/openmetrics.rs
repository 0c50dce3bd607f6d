//! OpenMetrics 1.0 text, as strictly as its specification asks of a line and of a family.
//!
//! Not checked is what only a producer can mend and no reader trips over: canonical numbers in `le`, the
//! order of buckets and of the metrics within a family, and whether a histogram adds up.

use std::collections::HashMap;

use super::line::{self, About, Line, number, shown};
use super::{Dialect, Family, Kind, Malformed, Sample, bounded};

pub(super) fn parse(page: &str) -> Result<Vec<Family>, Malformed> {
    let body = page.strip_suffix('\n').unwrap_or(page).strip_suffix("# EOF");
    let Some(body) = body.filter(|body| body.is_empty() || body.ends_with('\n')) else {
        let what = "the page does not end with `# EOF`: it was cut short, or is not OpenMetrics";
        return Err(Malformed::new(page.lines().count().max(1), what));
    };
    let mut reader = Reader::default();
    for (number, text) in (1..).zip(body.split_terminator('\n')) {
        if text == "# EOF" {
            return Err(Malformed::new(number, "the page goes on after `# EOF`"));
        }
        let at_line = |what| Malformed::new(number, what);
        match line::read(text, Dialect::OpenMetrics).map_err(at_line)? {
            Line::Blank => {}
            Line::About { name, about } => reader.about(name, about, number)?,
            Line::Sample { sample, exemplar } => reader.sample(sample, exemplar, number)?,
        }
        bounded(reader.series.max(reader.families.len()), number)?;
    }
    reader.close()?;
    Ok(reader.families)
}

#[derive(Default)]
struct Reader {
    families: Vec<Family>,
    /// The family that lines are read into.
    open: Option<Open>,
    /// Every sample name that a family so far has or could have, and that family's line.
    claims: HashMap<String, usize>,
    series: usize,
}

/// A family whose lines are still coming.
struct Open {
    name: String,
    line: usize,
    kind: Option<Kind>,
    help: Option<String>,
    unit: Option<String>,
    samples: Vec<Sample>,
    /// The line of each sample.
    lines: Vec<usize>,
}

impl Open {
    fn new(name: String, line: usize) -> Self {
        Self { name, line, kind: None, help: None, unit: None, samples: Vec::new(), lines: Vec::new() }
    }

    fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Unknown)
    }

    /// What `sample` adds to the family's name, if it can be one of its samples.
    fn suffix(&self, sample: &str) -> Option<&'static str> {
        let suffix = sample.strip_prefix(self.name.as_str())?;
        self.kind().suffixes().iter().find(|known| **known == suffix).copied()
    }
}

impl Reader {
    fn about(&mut self, name: String, about: About, line: usize) -> Result<(), Malformed> {
        let open = self.open_for(name, line)?;
        let again = match about {
            About::Kind(kind) => open.kind.replace(kind).map(|_| "TYPE"),
            About::Help(help) => open.help.replace(help).map(|_| "HELP"),
            About::Unit(unit) => {
                let stem = open.name.strip_suffix(unit.as_str());
                if !unit.is_empty() && !stem.is_some_and(|stem| stem.ends_with('_')) {
                    let what = format!("unit {} is not the end of {}", shown(&unit), shown(&open.name));
                    return Err(Malformed::new(line, what));
                }
                open.unit.replace(unit).map(|_| "UNIT")
            }
        };
        match again {
            Some(keyword) => {
                Err(Malformed::new(line, format!("a second `# {keyword}` for {}", shown(&open.name))))
            }
            None => Ok(()),
        }
    }

    fn sample(&mut self, sample: Sample, exemplar: bool, line: usize) -> Result<(), Malformed> {
        self.series += 1;
        let open = match self.open.take() {
            Some(open) if open.suffix(&sample.name).is_some() || open.name == sample.name => {
                self.open.insert(open)
            }
            before => {
                self.open = before;
                self.close()?;
                self.open.insert(Open::new(sample.name.clone(), line))
            }
        };
        check(open, &sample, exemplar).map_err(|what| Malformed::new(line, what))?;
        open.samples.push(sample);
        open.lines.push(line);
        Ok(())
    }

    /// The family that a line about `name` is of; what is said after the samples begins the next one.
    fn open_for(&mut self, name: String, line: usize) -> Result<&mut Open, Malformed> {
        let open = match self.open.take() {
            Some(open) if open.name == name && open.samples.is_empty() => open,
            before => {
                self.open = before;
                self.close()?;
                Open::new(name, line)
            }
        };
        Ok(self.open.insert(open))
    }

    /// Ends the open family.
    fn close(&mut self) -> Result<(), Malformed> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let kind = open.kind();
        let unit = open.unit.unwrap_or_default();
        if matches!(kind, Kind::Info | Kind::StateSet) && !unit.is_empty() {
            return Err(Malformed::new(
                open.line,
                format!("{} is of type {kind} and has a unit", shown(&open.name)),
            ));
        }
        // The specification wants family names unique. Only a clash of sample names does harm, though, and
        // every Go program exposes the gauge and the counter `go_memstats_alloc_bytes`.
        for suffix in kind.suffixes() {
            let sample = format!("{}{suffix}", open.name);
            if let Some(first) = self.claims.get(&sample) {
                let what = format!("{} can be of this family and of the one in line {first}", shown(&sample));
                return Err(Malformed::new(open.line, what));
            }
            self.claims.insert(sample, open.line);
        }
        series_once(&open.samples, &open.lines)?;
        let help = open.help.unwrap_or_default();
        self.families.push(Family { name: open.name, kind, help, unit, samples: open.samples });
        Ok(())
    }
}

/// Holds a sample against what its family's type asks of it.
fn check(family: &Open, sample: &Sample, exemplar: bool) -> Result<(), String> {
    let kind = family.kind();
    let Some(suffix) = family.suffix(&sample.name) else {
        let suffixes: Vec<_> = kind.suffixes().iter().map(|suffix| format!("`{suffix}`")).collect();
        return Err(format!("the name of a sample of type {kind} ends in {}", suffixes.join(" or ")));
    };
    let bucket = suffix == "_bucket";
    if exemplar && !bucket && suffix != "_total" {
        return Err("only a counter's `_total` and a `_bucket` have an exemplar".into());
    }
    let label = |name: &str| {
        let value = sample.labels.get(name);
        value.ok_or_else(|| {
            format!("{}, being of type {kind}, needs a label {}", shown(&sample.name), shown(name))
        })
    };
    if bucket && number(label("le")?, "a number in the label `le`")?.is_nan() {
        return Err("expected a number in the label `le`, found NaN".into());
    }
    if kind == Kind::Summary && suffix.is_empty() {
        let quantile = number(label("quantile")?, "a number in the label `quantile`")?;
        if !(0.0..=1.0).contains(&quantile) {
            return Err(format!("expected a quantile from 0 to 1, found {quantile}"));
        }
    }
    if kind == Kind::StateSet {
        label(&family.name)?;
    }
    let value = sample.value;
    let (holds, wanted) = match (kind, suffix) {
        (Kind::Info, _) => ([1.0].contains(&value), "1"),
        (Kind::StateSet, _) => ([0.0, 1.0].contains(&value), "0 or 1"),
        (Kind::Summary, "") => (value.is_nan() || value >= 0.0, "NaN or at least 0"),
        (Kind::Counter, "_total") | (Kind::Histogram | Kind::Summary, "_sum") => (value >= 0.0, "at least 0"),
        (_, "_bucket" | "_count" | "_gcount") => {
            (value >= 0.0 && [0.0].contains(&value.fract()), "a whole number of at least 0")
        }
        (_, "_gsum") => (!value.is_nan(), "a number"),
        _ => (true, ""),
    };
    if holds {
        return Ok(());
    }
    Err(format!("{}, being of type {kind}, should be {wanted} and is {value}", shown(&sample.name)))
}

/// Refuses a series that comes twice, unless each time is later than the one before.
fn series_once(samples: &[Sample], lines: &[usize]) -> Result<(), Malformed> {
    let series = |index: usize| {
        let sample: &Sample = &samples[index];
        // An empty label is as good as none.
        (&sample.name, sample.labels.iter().filter(|(_, value)| !value.is_empty()))
    };
    let same = |a: usize, b: usize| {
        let ((name, labels), (other, others)) = (series(a), series(b));
        name.cmp(other).then_with(|| labels.cmp(others))
    };
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by(|a, b| same(*a, *b));
    let again = order.windows(2).filter(|pair| {
        let later = samples[pair[0]].at.zip(samples[pair[1]].at).is_some_and(|(first, next)| first < next);
        same(pair[0], pair[1]).is_eq() && !later
    });
    match again.map(|pair| (pair[1], pair[0])).min() {
        None => Ok(()),
        Some((next, first)) => {
            let what = format!(
                "the series {} of line {} comes again without a later timestamp",
                shown(&samples[next].name),
                lines[first]
            );
            Err(Malformed::new(lines[next], what))
        }
    }
}
