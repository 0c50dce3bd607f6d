//! Whatever stands in a file, and whatever a target sends, ends in values or in one reason: no panic, no hang, and
//! evidence of bounded size.
//!
//! Inputs are sound ones, changed by proptest, which also shrinks those that fail and keeps them for
//! the next time.
//! cargo-fuzz would find its way into a parser by itself, and needs a nightly compiler, which users need not have.
//! `FIREDRILL_FUZZ_CASES` raises the number of cases; `ci/soak.sh fuzz` runs them for minutes.
#![cfg(test)]

mod files;
mod mutate;
mod parsers;
mod peers;

use proptest::test_runner::Config;

/// As many cases as were asked for, and else `usual`. A case that opens connections costs more than one that does
/// not, and counts as `weight` of them.
fn cases(usual: u32, weight: u32) -> Config {
    let asked = std::env::var("FIREDRILL_FUZZ_CASES").ok();
    let asked: Option<u32> = asked.map(|text| text.parse().expect("FIREDRILL_FUZZ_CASES is a number"));
    Config { max_shrink_time: 30_000, ..Config::with_cases(asked.map_or(usual, |cases| cases / weight)) }
}
