//! Refuses to build while the folders below `functions/` and the catalogue disagree.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "a module of the crate, compiled here a second time"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

#[path = "src/functions.rs"]
mod functions;

fn main() {
    println!("cargo::rerun-if-changed=../../../functions");
    println!("cargo::rerun-if-changed=src/functions.rs");
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let folder = Path::new(&root).join("../../../functions");
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("cargo::error=cannot read {}", folder.display());
        return;
    };
    let packages: BTreeSet<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let declared: BTreeSet<String> =
        functions::functions().map(|function| function.name.to_owned()).collect();
    for name in packages.difference(&declared) {
        println!(
            "cargo::error=functions/{name} is not in the catalogue: declare it in \
             shared/domain/catalogue/src/functions.rs"
        );
    }
    for name in declared.difference(&packages) {
        println!("cargo::error=the catalogue declares {name}, and functions/{name}/Cargo.toml is not there");
    }
}
