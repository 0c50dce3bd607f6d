//! Routing as computed here against Alertmanager's own: the same receivers for the same labels, by `amtool`.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use firedrill::finding::Findings;
use firedrill::route::matcher::{Dialect, Op, read};
use firedrill::route::{Config, Labels, check};
use firedrill::source::Sources;
use firedrill::yaml::parse;

/// Trees that are made up, and label sets that each is asked about.
const TREES: u32 = 40;
const LABEL_SETS: usize = 6;

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// A tree of routes, each with a receiver of its own.
struct Tree {
    numbers: Numbers,
    text: String,
    receivers: u32,
}

impl Tree {
    fn new(seed: u32) -> Self {
        let mut tree =
            Self { numbers: Numbers(u64::from(seed) * 7919 + 1), text: String::new(), receivers: 1 };
        tree.text.push_str("route:\n  receiver: r0\n");
        tree.routes(1);
        tree.text.push_str("receivers:\n");
        for number in 0..tree.receivers {
            writeln!(tree.text, "  - name: r{number}").unwrap();
        }
        tree
    }

    fn routes(&mut self, depth: usize) {
        let indent = "  ".repeat(depth * 2 - 1);
        let count = self.numbers.below(4);
        if depth > 3 || count == 0 {
            return;
        }
        writeln!(self.text, "{indent}routes:").unwrap();
        for _ in 0..count {
            let inner = format!("{indent}    ");
            // One in six has the receiver of the route around it.
            if self.numbers.below(6) == 0 {
                writeln!(self.text, "{indent}  - group_by: [a]").unwrap();
            } else {
                writeln!(self.text, "{indent}  - receiver: r{}", self.receivers).unwrap();
                self.receivers += 1;
            }
            self.matchers(&inner);
            if self.numbers.below(3) == 0 {
                writeln!(self.text, "{inner}continue: true").unwrap();
            }
            self.routes(depth + 1);
        }
    }

    fn matchers(&mut self, indent: &str) {
        let (name, value) = (self.numbers.of(&["a", "b", "c"]), self.numbers.of(&["x", "y", "z"]));
        let pattern = self.numbers.of(&["x|y", ".*", ".+", "[xz]", "x.*", "(x|z)?"]);
        let line = match self.numbers.below(7) {
            0 => format!("match: {{ {name}: {value} }}"),
            1 => format!("match_re: {{ {name}: '{pattern}' }}"),
            2 => format!("matchers: ['{name}={value}']"),
            3 => format!("matchers: ['{name}!=\"{value}\"', 'b=~\"{pattern}\"']"),
            4 => format!("matchers: ['{{{name}!~\"{pattern}\", c!=y}}']"),
            5 => format!("matchers: ['{name}=\"\"']"),
            _ => return,
        };
        writeln!(self.text, "{indent}{line}").unwrap();
    }

    fn labels(&mut self) -> Labels {
        let mut labels = BTreeMap::new();
        for name in ["a", "b", "c"] {
            if let value @ ("x" | "y" | "z" | "xx") = self.numbers.of(&["x", "y", "z", "xx", "", ""]) {
                labels.insert(name.to_owned(), value.to_owned());
            }
        }
        labels
    }
}

/// A file of this test's own.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn config(text: &str, dialect: Dialect) -> Option<Config> {
    let mut sources = Sources::default();
    let id = sources.add("alertmanager.yml", text);
    let mut findings = Findings::default();
    let config = check(&parse(id, text).unwrap()[0], &sources, dialect, &mut findings);
    config.filter(|_| !findings.any_error())
}

/// Receivers by `amtool`, with commas between them; `None` where it refuses the file.
fn by_amtool(path: &Path, labels: &Labels) -> Option<String> {
    let mut command = Command::new("amtool");
    command.args(["config", "routes", "test", "--config.file"]).arg(path);
    command.args(labels.iter().map(|(name, value)| format!("{name}={value}")));
    let output = command.output().expect("`amtool` is in PATH");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn receivers(config: &Config, labels: &Labels) -> String {
    let routes = config.routes_of(labels);
    routes.iter().map(|route| route.receiver.value.as_str()).collect::<Vec<_>>().join(",")
}

#[test]
#[ignore = "needs amtool"]
fn labels_reach_the_receivers_that_alertmanager_finds() {
    let mut several = 0;
    for seed in 0..TREES {
        let mut tree = Tree::new(seed);
        let config = config(&tree.text, Dialect::Classic).expect("the tree has no findings");
        let path = file(&format!("tree-{seed}.yml"), &tree.text);
        for _ in 0..LABEL_SETS {
            let labels = tree.labels();
            let wanted = by_amtool(&path, &labels).unwrap_or_else(|| panic!("amtool refuses\n{}", tree.text));
            assert_eq!(receivers(&config, &labels), wanted, "for {labels:?} in\n{}", tree.text);
            several += u32::from(wanted.contains(','));
        }
        std::fs::remove_file(path).unwrap();
    }
    assert!(several > 10, "only {several} label sets reached more than one receiver");
}

/// Matchers that versions read differently, or that not all read.
const WRITTEN: [&str; 26] = [
    "a=b",
    " a = b ",
    "a=\"b\"",
    "{a=b}",
    "{a=b",
    "a=b}",
    "a=b,c=d",
    "a=b,",
    "a=b,,c=d",
    "a=\"b,c\"",
    "a=b c",
    "a=\"b\\\"c\"",
    "a=\"b\\nc\"",
    "a=b\\c",
    "a=\"b\\dc\"",
    "a=\"b\\u263a\"",
    "a=b\"c",
    "a=\"b",
    "a=~b|c",
    "a=~(b",
    "a!b",
    "=b",
    "a",
    "0a=b",
    "a:b=c",
    "\u{3c3}=b",
];

#[test]
#[ignore = "needs amtool"]
fn matchers_are_read_as_the_alertmanager_at_hand_reads_them() {
    let version = Command::new("amtool").arg("--version").output().expect("`amtool` is in PATH");
    let version =
        String::from_utf8_lossy(&version.stdout).into_owned() + &String::from_utf8_lossy(&version.stderr);
    let minor =
        version.split("version 0.").nth(1).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    let minor = minor.unwrap_or_else(|| panic!("amtool says of itself: {version}"));
    let dialect = if minor < 27 { Dialect::Classic } else { Dialect::Both };
    for (number, text) in WRITTEN.iter().enumerate() {
        let quoted = serde_json::to_string(text).unwrap();
        let tree = format!(
            "route: {{ receiver: r0, routes: [{{ receiver: r1, matchers: [{quoted}] }}] }}\nreceivers: [{{ name: r0 }}, {{ name: r1 }}]\n"
        );
        let path = file(&format!("matchers-{number}.yml"), &tree);
        // What would satisfy the matchers as they are read here.
        let labels: Labels = match read(text, dialect) {
            Ok(read) => {
                let value = |op, value: &str| if op == Op::Equal { value.to_owned() } else { "b".to_owned() };
                read.matchers.iter().map(|one| (one.name.clone(), value(one.op, &one.value))).collect()
            }
            Err(_) => Labels::new(),
        };
        // Arguments are read by other rules: what these would not pass on is not asked about.
        let asks = labels.values().all(|value| !value.contains(['\\', '"', '\n', ' ', ',']));
        let labels = if asks { labels } else { Labels::new() };
        let ours = config(&tree, dialect).map(|config| receivers(&config, &labels));
        assert_eq!(ours, by_amtool(&path, &labels), "`{text}` with {labels:?}");
        std::fs::remove_file(path).unwrap();
    }
}
