//! What was recorded, repeated: backwards as the history that long windows need, onwards as what goes on as it is.

use super::stamp::seconds;

/// A part of a series that is repeated, in milliseconds of rule time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// It begins here.
    pub(super) from: i64,
    /// It ends before this.
    pub(super) to: i64,
}

/// A segment of one series.
#[derive(Debug)]
struct Pattern {
    /// Its points; a counter's go on where it was reset.
    points: Vec<(i64, f64)>,
    /// How much grows from one repetition to the next.
    growth: f64,
    length: i64,
}

impl Segment {
    pub(super) fn length(self) -> i64 {
        self.to - self.from
    }

    /// By how much a segment that is repeated as a whole can be longer, so that it is so much at least.
    pub(super) fn longer(self, by: i64) -> i64 {
        i64::from(times(by, self.length().max(1))) * self.length().max(0)
    }

    fn pattern(self, points: &[(i64, f64)], counts: bool) -> Option<Pattern> {
        let within = points.iter().copied().filter(|(at, _)| (self.from..self.to).contains(at));
        let mut points: Vec<_> = within.collect();
        if self.length() <= 0 || points.is_empty() {
            return None;
        }
        if !counts {
            return Some(Pattern { points, growth: 0.0, length: self.length() });
        }
        // Markers are no numbers, and count nothing.
        points.retain(|(_, value)| !value.is_nan());
        let (mut before, mut added) = (f64::NEG_INFINITY, 0.0);
        for (_, value) in &mut points {
            if *value < before {
                added += before;
            }
            before = *value;
            *value += added;
        }
        let (first, last) = (*points.first()?, *points.last()?);
        let lasted = seconds(last.0 - first.0);
        let growth = if lasted > 0.0 { (last.1 - first.1) * seconds(self.length()) / lasted } else { 0.0 };
        Some(Pattern { points, growth, length: self.length() })
    }
}

/// The series with its segment repeated backwards to `back`, in place of what was before it; points of the
/// history are at least `apart`. A counter begins lower by what it grew meanwhile, and never below nothing.
pub(super) fn precede(
    points: &[(i64, f64)],
    segment: Segment,
    back: i64,
    apart: i64,
    counts: bool,
) -> Vec<(i64, f64)> {
    let Some(pattern) = segment.pattern(points, counts) else { return points.to_vec() };
    let times = times(segment.from - back, pattern.length);
    let mut all: Vec<(i64, f64)> = Vec::new();
    for time in (1..=times).rev() {
        let grown = pattern.growth * f64::from(times - time);
        for (at, value) in &pattern.points {
            let at = at - i64::from(time) * pattern.length;
            if at >= back && all.last().is_none_or(|(last, _)| at - last >= apart) {
                all.push((at, value + grown));
            }
        }
    }
    let (mut added, mut before) = (pattern.growth * f64::from(times), f64::NEG_INFINITY);
    for (at, value) in points.iter().copied().filter(|(at, _)| *at >= segment.from) {
        // What counts anew knows nothing of what was before.
        if counts && value < before {
            added = 0.0;
        }
        before = if value.is_nan() { before } else { value };
        all.push((at, value_with(value, added)));
    }
    all
}

/// The series with a segment repeated once it is over, for so much `longer`, and what was after it that much later.
/// That is a multiple of the segment: see [`Segment::longer`].
pub(super) fn stretch(
    points: Vec<(i64, f64)>,
    segment: Segment,
    longer: i64,
    counts: bool,
) -> Vec<(i64, f64)> {
    if longer <= 0 {
        return points;
    }
    let (mut all, after): (Vec<_>, Vec<_>) = points.into_iter().partition(|(at, _)| *at < segment.to);
    let newest = |points: &[(i64, f64)]| points.iter().rev().find(|(_, value)| !value.is_nan()).copied();
    let before = newest(&all);
    follow(&mut all, segment, segment.to + longer - 1, counts);
    // A counter goes on from where it has come to, until it counts anew.
    let grown = before.zip(newest(&all)).map_or(0.0, |((_, before), (_, now))| now - before);
    let (mut added, mut before_it) =
        (if counts { grown } else { 0.0 }, before.map_or(0.0, |(_, value)| value));
    for (at, value) in after {
        if counts && value < before_it {
            added = 0.0;
        }
        before_it = if value.is_nan() { before_it } else { value };
        all.push((at + longer, value_with(value, added)));
    }
    all
}

/// The series with its segment, which is its end, repeated onwards to `onward`.
pub(super) fn follow(points: &mut Vec<(i64, f64)>, segment: Segment, onward: i64, counts: bool) {
    let Some(pattern) = segment.pattern(points, counts) else { return };
    let Some((_, last)) = pattern.points.last().copied() else { return };
    let Some((_, real)) = points.iter().rev().find(|(_, value)| !value.is_nan() || !counts).copied() else {
        return;
    };
    let times = times(onward - segment.to, pattern.length);
    for time in 1..=times {
        for (at, value) in &pattern.points {
            let at = at + i64::from(time) * pattern.length;
            if at > onward {
                return;
            }
            let value =
                if counts { real + (value - last) + pattern.growth * f64::from(time) } else { *value };
            points.push((at, value));
        }
    }
}

/// How often a length has to be repeated for a time.
fn times(time: i64, length: i64) -> u32 {
    let times = if time <= 0 { 0 } else { (time - 1) / length + 1 };
    u32::try_from(times).unwrap_or(u32::MAX)
}

/// A marker stays the marker that it is: bits that a sum would lose.
fn value_with(value: f64, added: f64) -> f64 {
    if value.is_nan() { value } else { value + added }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_repeated_as_it_was() {
        let points = [(0, 9.0), (10, 1.0), (20, 2.0), (30, 7.0)];
        let all = precede(&points, Segment { from: 10, to: 30 }, -30, 0, false);
        let wanted = [(-30, 1.0), (-20, 2.0), (-10, 1.0), (0, 2.0), (10, 1.0), (20, 2.0), (30, 7.0)];
        assert_eq!(all, wanted);
    }

    #[test]
    fn a_counter_grew_all_the_time() {
        let points = [(0, 100.0), (10, 110.0), (20, 120.0), (30, 5.0)];
        let all = precede(&points, Segment { from: 0, to: 20 }, -40, 0, true);
        let wanted = [
            (-40, 100.0),
            (-30, 110.0),
            (-20, 120.0),
            (-10, 130.0),
            (0, 140.0),
            (10, 150.0),
            (20, 160.0),
            (30, 5.0),
        ];
        assert_eq!(all, wanted);
    }

    #[test]
    fn old_history_may_be_thinner() {
        let points = [(0, 1.0), (10, 1.0), (20, 1.0)];
        let all = precede(&points, Segment { from: 0, to: 20 }, -60, 20, false);
        assert_eq!(all.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [-60, -40, -20, 0, 10, 20]);
    }

    #[test]
    fn what_goes_on_grows_on() {
        let mut points = vec![(0, 50.0), (10, 5.0), (20, 15.0), (30, 25.0)];
        follow(&mut points, Segment { from: 20, to: 40 }, 70, true);
        assert_eq!(points[4..], [(40, 35.0), (50, 45.0), (60, 55.0), (70, 65.0)]);
    }
}
