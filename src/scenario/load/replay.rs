//! A rate that was recorded, as stages of a load.

use std::time::Duration;

use super::Stage;
use crate::units::Rate;

/// The stages of a text with commas: its columns are `time`, in seconds from whenever, and `rate`, in attempts per
/// second. Between two lines the rate goes straight from one to the other; two lines of the same time are a jump.
///
/// # Errors
/// Why it is no such text.
pub(super) fn stages(text: &[u8]) -> Result<(Rate, Vec<Stage>), String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let names = reader.headers().map_err(|error| error.to_string())?;
    let column = |name: &str| {
        let found = names.iter().position(|known| known == name);
        found.ok_or_else(|| {
            format!("its first line names the columns `time` and `rate`, and there is no `{name}`")
        })
    };
    let (time, rate) = (column("time")?, column("rate")?);
    let (mut before, mut peak): (Option<(f64, f64)>, f64) = (None, 0.0);
    let mut stages = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map(csv::Position::line).unwrap_or_default();
        let number = |column: usize| {
            let text = record.get(column).unwrap_or_default();
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| format!("line {line}: `{text}` is not a number"))
        };
        let (at, level) = (number(time)?, number(rate)?);
        if level < 0.0 {
            return Err(format!("line {line}: a rate is not below nothing"));
        }
        peak = peak.max(level);
        if let Some((began, from)) = before {
            let span = Duration::try_from_secs_f64(at - began)
                .map_err(|_| format!("line {line}: time does not go back"))?;
            stages.push(Stage { from, to: level, span });
        }
        before = Some((at, level));
    }
    stages.retain(|stage| !stage.span.is_zero());
    if stages.iter().all(|stage| stage.from <= 0.0 && stage.to <= 0.0) {
        return Err("it makes no load: at least two lines of different times, with a rate".to_owned());
    }
    let peak = Rate::new(peak).ok_or_else(|| format!("a rate of {peak}/s is more than can be made"))?;
    Ok((peak, stages))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_recorded_rate_is_straight_between_its_lines() {
        let text = "time, rate\n1700000000, 10\n1700000002.5, 20\n1700000002.5, 100\n1700000003.5, 0\n";
        let (peak, stages) = stages(text.as_bytes()).unwrap();
        let stage = |from, to, millis| Stage { from, to, span: Duration::from_millis(millis) };
        assert_eq!(stages, [stage(10.0, 20.0, 2_500), stage(100.0, 0.0, 1_000)]);
        assert_eq!(peak.to_string(), "100/s");
    }

    #[rstest]
    #[case::nothing("", "its first line names the columns `time` and `rate`, and there is no `time`")]
    #[case::another_column(
        "time,value\n0,1\n",
        "its first line names the columns `time` and `rate`, and there is no `rate`"
    )]
    #[case::one_line(
        "time,rate\n0,1\n",
        "it makes no load: at least two lines of different times, with a rate"
    )]
    #[case::no_rate(
        "time,rate\n0,0\n9,0\n",
        "it makes no load: at least two lines of different times, with a rate"
    )]
    #[case::backwards("time,rate\n5,1\n4,1\n", "line 3: time does not go back")]
    #[case::below("time,rate\n0,-1\n4,1\n", "line 2: a rate is not below nothing")]
    #[case::a_word("time,rate\n0,many\n", "line 2: `many` is not a number")]
    #[case::not_a_number("time,rate\n0,NaN\n", "line 2: `NaN` is not a number")]
    fn what_is_no_recorded_rate_is_refused(#[case] text: &str, #[case] why: &str) {
        assert_eq!(stages(text.as_bytes()).unwrap_err(), why);
    }
}
