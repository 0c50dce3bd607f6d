//! How much load there is at each moment: a level that goes straight from one value to the next, stage by stage.

use std::time::Duration;

use crate::scenario::load::Stage;

/// Stages, one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve(Vec<Piece>);

/// A stage, and what was before it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    from: f64,
    to: f64,
    /// Seconds.
    begins: f64,
    span: f64,
    /// The integral up to its beginning.
    before: f64,
}

impl Piece {
    fn ends(&self) -> f64 {
        self.begins + self.span
    }

    fn level(&self, at: f64) -> f64 {
        let share = if self.span > 0.0 { ((at - self.begins) / self.span).clamp(0.0, 1.0) } else { 1.0 };
        self.from + (self.to - self.from) * share
    }

    fn area(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.span
    }

    /// When within it the integral reaches `area` more than at its beginning.
    fn reaches(&self, area: f64) -> f64 {
        let slope = if self.span > 0.0 { (self.to - self.from) / self.span } else { 0.0 };
        // The stable way to solve the quadratic, which is right for a level that stays as well.
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        let seconds = if self.from + root > 0.0 { 2.0 * area / (self.from + root) } else { 0.0 };
        self.begins + seconds.clamp(0.0, self.span)
    }
}

impl Curve {
    /// The curve of these stages.
    #[must_use]
    pub fn new(stages: &[Stage]) -> Self {
        let (mut begins, mut before) = (0.0, 0.0);
        let pieces = stages.iter().map(|stage| {
            let piece =
                Piece { from: stage.from, to: stage.to, begins, span: stage.span.as_secs_f64(), before };
            begins = piece.ends();
            before += piece.area();
            piece
        });
        Self(pieces.collect())
    }

    /// From its beginning to its end.
    #[must_use]
    pub fn length(&self) -> Duration {
        duration(self.0.last().map_or(0.0, Piece::ends))
    }

    /// The highest level of all.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.0.iter().fold(0.0, |peak, piece| peak.max(piece.from).max(piece.to))
    }

    /// All that is under it.
    #[must_use]
    pub fn area(&self) -> f64 {
        self.0.last().map_or(0.0, |piece| piece.before + piece.area())
    }

    /// When what is under it reaches `area`.
    #[must_use]
    pub fn reaches(&self, area: f64) -> Duration {
        // The last that begins below: where the level is nothing, nothing is reached.
        let after = self.0.partition_point(|piece| piece.before <= area);
        let index = self.0[..after].iter().rposition(|piece| piece.area() > 0.0);
        let at = index.map(|index| self.0[index].reaches(area - self.0[index].before));
        duration(at.unwrap_or_default()).min(self.length())
    }

    /// When the level is next above `floor`, or has reached it and rises, at `from` or later; `None` if never again.
    #[must_use]
    pub fn above(&self, floor: f64, from: Duration) -> Option<Duration> {
        let from = from.as_secs_f64();
        let later = self.0.iter().filter(|piece| piece.ends() > from && piece.from.max(piece.to) > floor);
        let crossings = later.filter_map(|piece| {
            let now = from.max(piece.begins);
            if piece.level(now) > floor {
                return Some(now);
            }
            // Below the floor a piece that reaches above it can only rise.
            let crosses = (piece.to > piece.from)
                .then(|| piece.begins + (floor - piece.from) / (piece.to - piece.from) * piece.span);
            crosses.map(|crosses| crosses.max(now))
        });
        crossings.map(duration).next()
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
