//! Reads `policy.toml` when the code is built, so that no function has to bring a parser of TOML and use it at each
//! start.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const POLICY: &str = "../../policy.toml";

#[expect(clippy::disallowed_methods, reason = "Cargo tells a build script where to write by the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={POLICY}");
    let policy: toml::Table = toml::from_str(&fs::read_to_string(POLICY)?)?;
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(folder.join("policy.json"), serde_json::to_vec(&policy)?)?;
    Ok(())
}
