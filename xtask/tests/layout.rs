//! The rules between the rooms of the house, over `cargo metadata`: docs/ARCHITECTURE.md, "The house", and
//! docs/adr/0017-the-domain-uses-two-vocabularies.md.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]
#![expect(clippy::disallowed_methods, reason = "cargo is asked where it is")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use xtask::checkout::files_below;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Domain,
    Platform,
    Features,
    Functions,
    Cli,
    Verification,
    Xtask,
}

impl Room {
    fn of_folder(folder: &str) -> Option<Self> {
        let rooms = [
            ("shared/domain/", Self::Domain),
            ("shared/platform/", Self::Platform),
            ("shared/features/", Self::Features),
            ("functions/", Self::Functions),
            ("cli", Self::Cli),
            ("verification/", Self::Verification),
            ("xtask", Self::Xtask),
        ];
        rooms.into_iter().find(|(prefix, _)| folder.starts_with(prefix)).map(|(_, room)| room)
    }

    /// What ships in a room may depend on what ships in these, and on its own room where that is named.
    const fn may_use(self) -> &'static [Self] {
        match self {
            Self::Domain => &[Self::Domain],
            Self::Platform => &[Self::Platform],
            Self::Features => &[Self::Domain, Self::Platform, Self::Features],
            Self::Functions | Self::Cli => &[Self::Domain, Self::Platform, Self::Features],
            Self::Verification => &[
                Self::Domain,
                Self::Platform,
                Self::Features,
                Self::Functions,
                Self::Verification,
                Self::Xtask,
            ],
            Self::Xtask => &[Self::Domain, Self::Platform, Self::Verification],
        }
    }
}

/// What the domain speaks of besides itself: Stripe's wire types, and the names of effects. Both are pure.
const VOCABULARIES: [&str; 2] = ["stripe-events", "effect-key"];

fn metadata() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The packages of the workspace with their folders, and what each depends on to ship.
fn packages() -> BTreeMap<String, (String, Vec<String>)> {
    let metadata = metadata();
    let root = metadata["workspace_root"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let manifest = package["manifest_path"].as_str().unwrap();
            let folder = manifest.strip_prefix(&root).unwrap().trim_start_matches('/');
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ships = dependencies.filter(|dependency| dependency["kind"].is_null());
            let names = ships.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), (folder.to_owned(), names.collect()))
        })
        .collect()
}

#[test]
fn every_package_is_in_a_room_and_uses_only_the_rooms_it_may() {
    let packages = packages();
    let room = |name: &str| {
        let (folder, _) = packages.get(name)?;
        Some(Room::of_folder(folder).unwrap_or_else(|| panic!("{folder} is in no room of the house")))
    };
    let mut broken = Vec::new();
    for (name, (_, dependencies)) in &packages {
        let own = room(name).unwrap();
        for dependency in dependencies {
            let Some(other) = room(dependency) else { continue };
            let is_vocabulary = own == Room::Domain && VOCABULARIES.contains(&dependency.as_str());
            if !own.may_use().contains(&other) && !is_vocabulary {
                broken.push(format!("{name} ({own:?}) depends on {dependency} ({other:?})"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_vocabularies_of_the_domain_are_pure() {
    let packages = packages();
    for name in VOCABULARIES {
        let (_, dependencies) = &packages[name];
        let impure: Vec<_> = dependencies
            .iter()
            .filter(|dependency| {
                packages.contains_key(*dependency) || dependency.starts_with("aws") || *dependency == "tokio"
            })
            .collect();
        assert!(impure.is_empty(), "{name} depends on {impure:?}");
    }
}

/// Lines above which a file says in its header why it is one.
const LONG: usize = 400;

#[test]
fn a_long_file_says_in_its_header_why_it_is_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut without_reason = Vec::new();
    for (manifest, _) in packages().values() {
        for (path, text) in sources(&root.join(manifest).with_file_name("src")) {
            let mut header = text.lines().take_while(|line| line.starts_with("//!"));
            let has_reason = header.any(|line| line.contains("Long because"));
            if text.lines().count() > LONG && !has_reason {
                without_reason.push(path);
            }
        }
    }
    assert!(
        without_reason.is_empty(),
        "split these, or say `Long because` in their header: {without_reason:#?}"
    );
}

/// The Rust files of a folder without its tests, and their texts.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = files_below(folder).unwrap_or_default();
    files.retain(|path| {
        let mut within = path.strip_prefix(folder).unwrap().iter();
        let is_tests = within.any(|part| part == "tests" || part == "tests.rs");
        path.extension().is_some_and(|extension| extension == "rs") && !is_tests
    });
    let with_text = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    files.into_iter().map(with_text).collect()
}

/// The code of a package's library or program, by the path of its module, without tests and comments.
fn modules(source: &Path) -> BTreeMap<String, String> {
    let module = |(path, text): (PathBuf, String)| {
        let within = path.strip_prefix(source).unwrap().with_extension("");
        let name = within.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("::");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines();
        let code = code.filter(|line| !line.trim_start().starts_with("//"));
        (name, code.collect::<Vec<_>>().join(" "))
    };
    sources(source).into_iter().map(module).collect()
}

/// What follows each `start` in a text, up to the end of a `use` or of a path, in its single paths.
fn paths(text: &str, start: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for (at, _) in text.match_indices(start) {
        let rest = &text[at + start.len()..];
        let prefix: String = rest.chars().take_while(|c| is_path(*c)).collect();
        match rest[prefix.len()..].strip_prefix('{') {
            Some(list) => {
                let list = list.split(';').next().unwrap_or_default();
                let names = list.split(|c: char| !is_path(c)).filter(|name| !name.is_empty());
                found.extend(names.map(|name| format!("{prefix}{name}")));
            }
            None => found.push(prefix),
        }
    }
    found
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut circles = Vec::new();
    for (name, (manifest, _)) in packages() {
        let modules = modules(&root.join(manifest).with_file_name("src"));
        // What the root publishes is its module's.
        let published =
            ["lib", "main"].iter().find_map(|root| modules.get(*root)).cloned().unwrap_or_default();
        let mut owner = BTreeMap::new();
        for path in paths(&published, "use ") {
            let path = path.trim_start_matches("crate::").to_owned();
            if let Some((module, item)) = path.rsplit_once("::") {
                owner.insert(item.to_owned(), module.to_owned());
            }
        }
        let module_of = |path: &str| {
            let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
            while !parts.is_empty() {
                if modules.contains_key(&parts.join("::")) {
                    return Some(parts.join("::"));
                }
                parts.pop();
            }
            owner.get(path.split("::").next()?).filter(|module| modules.contains_key(*module)).cloned()
        };
        let uses: BTreeMap<&str, BTreeSet<String>> = modules
            .iter()
            .filter(|(module, _)| !["lib", "main"].contains(&module.as_str()))
            .map(|(module, text)| {
                let used =
                    paths(text, "crate::").iter().filter_map(|path| module_of(path)).collect::<BTreeSet<_>>();
                (module.as_str(), used.into_iter().filter(|other| other != module).collect())
            })
            .collect();
        for start in uses.keys() {
            let mut reached: BTreeSet<&str> = BTreeSet::new();
            let mut next = vec![*start];
            while let Some(module) = next.pop() {
                for other in uses.get(module).into_iter().flatten() {
                    if reached.insert(other) {
                        next.push(other);
                    }
                }
            }
            if reached.contains(start) {
                circles.push(format!("{name}: {start}"));
            }
        }
    }
    assert!(circles.is_empty(), "files that lead back to themselves: {circles:#?}");
}
