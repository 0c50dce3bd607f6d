//! Alertmanager in a stack: the user's own configuration, with every receiver led to the sink.

use super::launch::{File, Launch, Shows, Way};
use super::prometheus::{Speed, said};
use super::{Error, version};
use crate::finding::Severity;
use crate::plan::{PlannedStack, is_beside};
use crate::scenario::stack::{ALERTMANAGER, HTTP};
use crate::scenario::template::{Scope, Unset};
use crate::sink::{Ends, readdress};
use crate::source::Sources;
use crate::yaml::{self, Kind, Node};

/// Where it listens in a container.
pub(super) const PORT: u16 = 9093;

/// The image, unless the stack names one.
pub(super) const IMAGE: &str = "prom/alertmanager:v0.25.0";

/// The program's names: upstream's, and Debian's.
const PROGRAMS: [&str; 2] = ["alertmanager", "prometheus-alertmanager"];

/// From this version on it says how often groups that are empty are swept; before it is every 30 s.
const SWEEPS_SINCE: (u32, u32) = (0, 33);

/// How often they are swept.
const SWEEP: std::time::Duration = std::time::Duration::from_secs(30);

/// What it is to be given.
pub(super) struct Given<'a> {
    pub(super) planned: &'a PlannedStack,
    pub(super) sources: &'a Sources,
    /// Names as its own service sees them.
    pub(super) scope: &'a Scope,
    /// Where the sink is, as it sees it.
    pub(super) ends: &'a Ends,
    /// By how much everything goes faster than in production.
    pub(super) speed: Speed,
    /// Whether it runs in a container.
    pub(super) contained: bool,
}

/// The Alertmanager of a stack, if it has one.
pub(super) fn lead(given: &Given<'_>) -> Result<Option<Launch>, Error> {
    let (Some(wanted), Some(own)) = (&given.planned.stack.alertmanager, &given.planned.alertmanager) else {
        return Ok(None);
    };
    let unset = |unset: Unset| Error::Unset { service: ALERTMANAGER.to_owned(), unset };
    let words = match &wanted.process {
        Some(command) => command.fill(given.scope).map_err(unset)?,
        None => vec![installed().to_owned()],
    };
    let dir = said(given.scope, "dir");
    let mut tree = own.tree.clone();
    let found = readdress(&mut tree, given.ends, &is_beside(&own.file), given.planned.scope.mask());
    let wrong = found.iter().filter(|finding| finding.code.severity() == Severity::Error);
    let drawn: Vec<_> = wrong.map(|finding| finding.draw(given.sources).render(false)).collect();
    if !drawn.is_empty() {
        return Err(Error::Files(drawn.join("\n\n")));
    }
    let mut files = Vec::new();
    let templates = own.others.iter().enumerate().map(|(number, path)| {
        let name = format!("templates/{number:03}-{}", path.file_name().unwrap_or_default().display());
        let bytes = std::fs::read(path).map_err(|source| Error::File {
            service: ALERTMANAGER.to_owned(),
            path: path.clone(),
            source,
        })?;
        let node = Node { place: tree.place, kind: Kind::Text(format!("{dir}/{name}")) };
        files.push(File { path: name, bytes });
        Ok(node)
    });
    let templates = templates.collect::<Result<Vec<_>, Error>>()?;
    tree.set("templates", Kind::List(templates));
    let tree = given.speed.routes(tree);
    files.push(File { path: "alertmanager.yml".to_owned(), bytes: yaml::print(&tree).into_bytes() });
    let image = wanted.image.as_ref().map(|image| image.fill(given.scope)).transpose().map_err(unset)?;
    let image = image.unwrap_or_else(|| IMAGE.to_owned());
    let version = if given.contained { version::of_image(&image) } else { version::of(&words[0]) };
    let told: Vec<_> = words[1..].iter().cloned().chain(flags(given, &dir, version)).collect();
    Ok(Some(Launch {
        name: ALERTMANAGER.to_owned(),
        way: Way::Program {
            entrypoint: None,
            image: Some(image),
            // The image's own entry point is the program.
            command: Some(told.clone()),
            process: Some(words.into_iter().take(1).chain(told).collect()),
        },
        env: Vec::new(),
        files,
        volumes: vec!["data".to_owned()],
        ports: vec![(HTTP.to_owned(), PORT)],
        datagrams: std::collections::BTreeSet::new(),
        sign: Shows::Http { port: HTTP.to_owned(), path: "/-/ready".to_owned() },
        within: std::time::Duration::from_secs(60),
        after: Vec::new(),
        setup: Vec::new(),
        user: None,
    }))
}

fn flags(given: &Given<'_>, dir: &str, version: Option<(u32, u32)>) -> Vec<String> {
    let address = format!("{}:{}", said(given.scope, "host"), said(given.scope, "port.http"));
    told(dir, &address, given.speed, version)
}

/// The program that is on this machine with what it is told, outside of any stack.
pub(super) fn alone(dir: &str, address: &str, speed: Speed) -> Vec<String> {
    let program = installed();
    let mut command = vec![program.to_owned()];
    command.extend(told(dir, address, speed, version::of(program)));
    command
}

fn told(dir: &str, address: &str, speed: Speed, version: Option<(u32, u32)>) -> Vec<String> {
    let mut flags = vec![
        format!("--config.file={dir}/alertmanager.yml"),
        format!("--storage.path={dir}/data"),
        format!("--web.listen-address={address}"),
        // Alone it need not wait for others before it tells anybody.
        "--cluster.listen-address=".to_owned(),
    ];
    if version.is_some_and(|version| version >= SWEEPS_SINCE) && !speed.is_usual() {
        let sweep = speed.scaled(SWEEP).as_millis();
        flags.push(format!("--dispatch.maintenance-interval={sweep}ms"));
    }
    flags
}

/// The name that it has on this machine.
fn installed() -> &'static str {
    let there = |name: &&str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
    };
    PROGRAMS.iter().copied().find(|name| there(name)).unwrap_or(PROGRAMS[0])
}
