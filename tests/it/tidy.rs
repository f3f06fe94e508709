//! The shape of the code: reading order is dependence order, and files stay small.

use crate::harness::repository;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

const CRATES: [&str; 5] = ["shared", "uploader", "worker", "simulator", "sluice"];

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules that a file declares, in order.
fn declared(text: &str) -> Vec<String> {
    let module = |line: &str| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    };
    text.lines().filter_map(module).collect()
}

#[test]
fn a_module_uses_only_modules_listed_above_it() {
    let mut wrong = Vec::new();
    for krate in CRATES {
        let source = repository().join(krate).join("src");
        let root = ["lib.rs", "main.rs"].map(|name| source.join(name));
        let root = root.iter().find(|path| path.exists()).unwrap();
        let order = declared(&std::fs::read_to_string(root).unwrap());
        let rank: HashMap<_, _> =
            order.iter().enumerate().map(|(rank, name)| (name.as_str(), rank)).collect();
        let mut files = Vec::new();
        sources(&source, &mut files);
        for file in files {
            let inside = file.strip_prefix(&source).unwrap();
            let top = inside.components().next().unwrap().as_os_str().to_string_lossy();
            let Some(own) = rank.get(top.trim_end_matches(".rs")) else { continue };
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let imported: Vec<_> = code
                .split("use crate::{")
                .skip(1)
                .filter_map(|rest| rest.split("};").next())
                .map(|names| names.replace('\n', " ").replace("    ", " "))
                .map(|names| format!(" {names}"))
                .collect();
            for (used, their) in &rank {
                let uses = code.contains(&format!("crate::{used}::"))
                    || imported.iter().any(|import| import.contains(&format!(" {used}::")));
                if uses && their > own {
                    wrong.push(format!("{krate}/{} uses {used}", inside.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these use modules that are listed below them: {wrong:#?}");
}

#[test]
fn files_and_modules_stay_small_and_named() {
    for krate in CRATES {
        let source = repository().join(krate).join("src");
        let mut files = Vec::new();
        sources(&source, &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.file_stem().unwrap().to_string_lossy();
            if name == "tests" || name.ends_with("_tests") {
                continue;
            }
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            // Lists of words are not code.
            let is_code = |line: &&str| !line.trim_start().starts_with('"');
            let lines = code.lines().filter(is_code).count();
            let shown = file.display();
            assert!(lines <= 450, "{shown}: {lines} lines: is it still one thing?");
            assert!(text.starts_with("//!"), "{shown}: say what it is for");
            let banned = ["util", "utils", "common", "helpers", "types", "manager"];
            assert!(!banned.contains(&name.as_ref()), "{shown}: name it by the thing");
        }
    }
    let lines =
        |path: &str| std::fs::read_to_string(repository().join(path)).unwrap().lines().count();
    assert!(lines("sluice/src/main.rs") <= 40);
    assert!(lines("ARCHITECTURE.md") <= 120, "two pages at most");
}

#[test]
fn the_function_that_processes_a_document_fits_one_screen() {
    let text = std::fs::read_to_string(repository().join("worker/src/process.rs")).unwrap();
    let start = text.find("pub async fn process").expect("process.rs processes");
    let body = text[start..].split("\n}\n").next().unwrap();
    assert!(body.lines().count() <= 40, "process() is the function to defend");
}
