//! The shape of the code: reading order is dependence order, names are taken once, and files stay
//! small and say what they are for.

mod source;

use crate::harness::repository;
use source::{Crate, Module};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

/// The members of the workspace.
fn crates() -> &'static [Crate] {
    static CRATES: OnceLock<Vec<Crate>> = OnceLock::new();
    CRATES.get_or_init(|| {
        let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let members = manifest["workspace"]["members"].as_array().unwrap();
        let folder = |name: &toml::Value| repository().join(name.as_str().unwrap());
        members.iter().map(|name| Crate::read(&folder(name))).collect()
    })
}

/// What a module uses although it is listed below it or below one that it is in: both names, below
/// the module that lists both.
fn listed_below(krate: &Crate, module: &Module, path: &[String]) -> Option<(String, String)> {
    let used = krate.resolve(module, path)?;
    let common = module.path.iter().zip(&used.path).take_while(|(own, other)| own == other).count();
    let (own, other) = (module.path.get(common)?, used.path.get(common)?);
    let parent = krate.modules.iter().find(|parent| parent.path == module.path[..common])?;
    let rank = |name: &String| parent.children.iter().position(|child| child == name);
    (rank(other) > rank(own)).then(|| (own.clone(), other.clone()))
}

#[test]
fn a_module_uses_only_modules_listed_above_it() {
    let mut wrong = BTreeSet::new();
    for krate in crates() {
        for module in &krate.modules {
            for path in &module.paths {
                if let Some((own, other)) = listed_below(krate, module, path) {
                    let file = module.file.strip_prefix(repository()).unwrap().display();
                    let path = path.join("::");
                    wrong.insert(format!("{file}: `{path}`: `{other}` is listed below `{own}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these use modules that are listed below them: {wrong:#?}");
}

#[test]
fn no_type_name_stands_twice_within_a_crate() {
    let mut wrong = Vec::new();
    for krate in crates() {
        let mut places: BTreeMap<&String, Vec<String>> = BTreeMap::new();
        for module in &krate.modules {
            for name in &module.types {
                places.entry(name).or_default().push(module.path.join("::"));
            }
        }
        places.retain(|_, places| places.len() > 1);
        for (name, places) in &places {
            wrong.push(format!("{}: {name} in {}", krate.name, places.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "these names stand for more than one type: {wrong:#?}");
}

#[test]
fn files_stay_small_and_say_what_they_are_for() {
    let mut wrong = Vec::new();
    for krate in crates() {
        for file in &krate.files {
            let shown = file.path.strip_prefix(repository()).unwrap().display();
            let lines = file.program_lines();
            if lines > 450 && !file.test {
                wrong.push(format!("{shown}: {lines} lines: is it still one thing?"));
            }
            if !file.text.starts_with("//!") {
                wrong.push(format!("{shown}: say what it is for"));
            }
            let name = file.path.file_stem().unwrap().to_string_lossy();
            let banned = ["util", "utils", "common", "helpers", "types", "manager"];
            if banned.contains(&name.as_ref()) {
                wrong.push(format!("{shown}: name it by the thing"));
            }
        }
        let read: BTreeSet<_> = krate.files.iter().map(|file| file.path.clone()).collect();
        for path in rust_files(&repository().join(&krate.name).join("src")).difference(&read) {
            wrong.push(format!("{}: no module is made of it", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let lines =
        |path: &str| std::fs::read_to_string(repository().join(path)).unwrap().lines().count();
    assert!(lines("sluice/src/main.rs") <= 40);
    assert!(lines("ARCHITECTURE.md") <= 120, "two pages at most");
}

/// Every Rust file below a folder.
fn rust_files(folder: &std::path::Path) -> BTreeSet<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: std::path::PathBuf| match path.is_dir() {
        true => rust_files(&path),
        false => BTreeSet::from_iter(path.extension().is_some_and(|x| x == "rs").then_some(path)),
    };
    entries.flat_map(below).collect()
}

#[test]
fn the_function_that_processes_a_document_fits_one_screen() {
    let text = std::fs::read_to_string(repository().join("worker/src/process.rs")).unwrap();
    let file = syn::parse_file(&text).unwrap();
    let process = file.items.iter().find_map(|item| match item {
        syn::Item::Fn(function) if function.sig.ident == "process" => Some(function),
        _ => None,
    });
    let span = process.expect("process.rs processes").block.brace_token.span;
    let lines = span.close().start().line - span.open().start().line;
    assert!(lines <= 40, "process() is the function to defend: {lines} lines");
}

/// Which libraries are built with which features for the tests of these packages.
fn features(packages: &[&str]) -> BTreeSet<String> {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--edges", "normal,build,dev", "--prefix", "none"]);
    let output = cargo.args(["--format", "{p} {f}"]).args(packages).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn the_tests_of_one_crate_use_the_libraries_of_the_whole_workspace() {
    let all = features(&["--workspace"]);
    for krate in crates() {
        let own = features(&["--package", &krate.name]);
        // A procedural macro has a copy of its own, which is the same for all.
        let is_macros = |line: &&String| line.starts_with("regex-automata ");
        let other: Vec<_> = own.difference(&all).filter(|line| !is_macros(line)).collect();
        assert!(
            other.is_empty(),
            "`cargo test -p {}` builds these again, with other features: name in [dependencies] of \
             tests/Cargo.toml who wants more of them: {other:#?}",
            krate.name
        );
    }
}
