//! The gate on what firedrill measured itself: a store, and an earlier run to compare with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::archive::Folder;
use super::input::shop;

/// Runs firedrill in a folder, where it keeps what it measures.
fn firedrill(folder: &Folder, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(words)
        .current_dir(&folder.0)
        .env_remove("FIREDRILL_NO_SAVE")
        .output()
        .unwrap()
}

/// A folder in which a scenario has run so many times; its runs, the first one first.
fn rehearsed(times: usize) -> (Folder, Vec<PathBuf>) {
    let folder = Folder::new();
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/shop/alone.yaml");
    let scenario = format!(
        "scenario: shop\nstack: {}\nsteps:\n  - name: shoppers\n    load:\n      rate: 400/s\n      \
         stages: [{{ hold: 1s }}]\n      \
         http: {{ get: \"http://${{service.shop.http}}/items\", bearer: demo-token }}\n      \
         expect: {{ status: 200 }}\n    sli: shop\n",
        stack.display()
    );
    std::fs::write(folder.0.join("shop.yaml"), scenario).unwrap();
    let mut runs: Vec<PathBuf> = Vec::new();
    for _ in 0..times {
        let run = firedrill(&folder, &["run", "--quiet", "shop.yaml"]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        let saved = std::fs::read_dir(folder.0.join(".firedrill/runs")).unwrap();
        let new = saved.map(|entry| entry.unwrap().path()).find(|path| !runs.contains(path));
        runs.push(new.unwrap());
    }
    (folder, runs)
}

#[test]
fn a_store_is_judged_over_the_window() {
    let (folder, _) = rehearsed(1);
    let slo = shop("stored");
    let words = ["gate", slo.to_str().unwrap(), "--store", ".firedrill/store.db", "--report", "json=-"];
    let output = firedrill(&folder, &words);
    let decided = super::decisions(&output);
    let shop = &decided.iter().find(|(slo, _)| slo == "shop").unwrap().1;
    // Of about 400 requests 299 without a failure are enough for 99 %.
    assert_eq!(shop["verdict"], "pass", "{shop:#}");
    assert_eq!(shop["budget"]["lost"], 0.0, "{shop:#}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_run_is_compared_with_the_last_green_one() {
    let (folder, runs) = rehearsed(2);
    let [first, second] = [&runs[0], &runs[1]].map(|path| path.to_str().unwrap());
    let slo = shop("compared");
    let words = ["gate", slo.to_str().unwrap(), "--run", second, "--baseline", "last-green"];
    let output = firedrill(&folder, &words);
    let said = String::from_utf8(output.stdout).unwrap();
    let id = Path::new(first).file_stem().unwrap().to_str().unwrap();
    assert!(said.contains(&format!("against run {id}: no failures, as before")), "{said}");
    // Four hundred clean requests show at once that the objective's own share is kept.
    assert_eq!(output.status.code(), Some(0), "{said}");

    // The run itself is no earlier one.
    std::fs::remove_file(folder.0.join(".firedrill/store.db")).unwrap();
    let output = firedrill(&folder, &words);
    assert_eq!(output.status.code(), Some(4));
}
