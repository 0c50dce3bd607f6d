//! The file of `--image-map`: which images are used in place of those that stacks name.

use std::io::Write as _;
use std::path::Path;

use super::Colour;
use crate::finding::{Code, Finding, Findings};
use crate::source::Sources;
use crate::stack::containers::ImageMap;
use crate::yaml;

/// Reads the file, if one is named; `None` once its mistakes were drawn.
pub(super) fn read(path: Option<&Path>, colour: Colour) -> std::io::Result<Option<ImageMap>> {
    let Some(path) = path else { return Ok(Some(ImageMap::default())) };
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let map = parse(path, &mut sources, &mut findings);
    let whole = !findings.any_error();
    let mut out = std::io::stderr().lock();
    let colour = colour.wanted(&out);
    for finding in findings.in_reading_order() {
        writeln!(out, "{}\n", finding.draw(&sources).render(colour))?;
    }
    Ok(map.filter(|_| whole))
}

fn parse(path: &Path, sources: &mut Sources, findings: &mut Findings) -> Option<ImageMap> {
    let (id, broken) = match sources.open(path) {
        Ok(opened) => opened,
        Err(error) => {
            let place = sources.add(path, "").place(0, 0);
            let title = format!("the image map `{}` cannot be read: {error}", path.display());
            findings.add(Finding::new(Code::FileUnreadable, place, title));
            return None;
        }
    };
    if let Some(at) = broken {
        findings.add(Finding::new(Code::YamlEncoding, id.place(at, at), "the file is not UTF-8"));
        return None;
    }
    let documents = findings.take_all(yaml::parse(id, &sources.file(id).text))?;
    match documents.first() {
        Some(document) => ImageMap::read(document, findings),
        None => Some(ImageMap::default()),
    }
}
