//! Which version of Prometheus or Alertmanager a program is.

use std::process::{Command, Stdio};

/// Major and minor number, as the program says by `--version`.
pub(super) fn of(program: &str) -> Option<(u32, u32)> {
    let said = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    text.iter().find_map(|text| read(text))
}

/// The same, as an image says by its tag: `prom/prometheus:v2.42.0`.
pub(super) fn of_image(image: &str) -> Option<(u32, u32)> {
    let (_, tag) = image.rsplit_once(':')?;
    numbers(tag.strip_prefix('v').unwrap_or(tag))
}

fn read(text: &str) -> Option<(u32, u32)> {
    numbers(text.lines().next()?.split_once("version ")?.1)
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|sign: char| !sign.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("prom/prometheus:v2.42.0", Some((2, 42)))]
    #[case("localhost:5000/alertmanager:0.33.1-busybox", Some((0, 33)))]
    #[case("prom/prometheus:latest", None)]
    #[case("localhost:5000/prometheus", None)]
    fn a_tag_says_the_version(#[case] image: &str, #[case] version: Option<(u32, u32)>) {
        assert_eq!(of_image(image), version);
    }

    #[rstest]
    #[case("prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5+b5)\n  go", Some((2, 42)))]
    #[case("alertmanager, version 0.33.1 (branch: )", Some((0, 33)))]
    #[case("bash: no", None)]
    fn a_version_is_read(#[case] text: &str, #[case] version: Option<(u32, u32)>) {
        assert_eq!(read(text), version);
    }
}
