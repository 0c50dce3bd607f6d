//! Chance that is the same with every run of the same seed.

use crate::units::Ratio;

/// Numbers that look random and follow from a seed, a fault and what it may strike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance(u64);

impl Chance {
    /// For what `subject` (a connection, a request) may meet from `fault`.
    pub(super) fn new(seed: u64, fault: u64, subject: u64) -> Self {
        Self(mix(mix(mix(seed) ^ fault) ^ subject))
    }

    /// The next number, from 0 to below 1.
    pub(super) fn draw(&mut self) -> Ratio {
        self.0 = self.0.wrapping_add(STEP);
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
        let share = (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64;
        Ratio::new(share).unwrap_or(Ratio::ZERO)
    }

    /// Whether it is among the `share` that are struck; all are where that is one, none where it is zero.
    pub(super) fn strikes(&mut self, share: Ratio) -> bool {
        self.draw() < share
    }
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Steele, Lea and Flood's `SplitMix64`.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(STEP);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(0.0, 0)]
    #[case::a_fifth(0.2, 1_989)]
    #[case::all(1.0, 10_000)]
    fn a_share_is_struck(#[case] share: f64, #[case] struck: usize) {
        let share = Ratio::new(share).unwrap();
        let count = (0..10_000).filter(|subject| Chance::new(7, 1, *subject).strikes(share)).count();
        assert_eq!(count, struck);
    }

    #[test]
    fn faults_strike_independently() {
        let half = Ratio::new(0.5).unwrap();
        let both = (0..10_000)
            .filter(|subject| {
                Chance::new(7, 1, *subject).strikes(half) && Chance::new(7, 2, *subject).strikes(half)
            })
            .count();
        assert!((2_350..2_650).contains(&both), "{both}");
    }
}
