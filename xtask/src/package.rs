//! The release builds that are deployed to AWS.

use std::fmt;
use std::fs;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::checkout::Checkout;
use crate::dependencies::{Requirements, install_python};
use crate::functions::cargo;
use crate::process::{output_of, run_shown};
use crate::terminal::{DIM, Step, heading, say};
use crate::tools::Tools;

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Arch {
    /// Graviton: cheaper, and what the stages use
    #[default]
    #[value(name = "arm64")]
    Arm64,
    /// Intel and AMD
    #[value(name = "x86_64")]
    X86_64,
}

impl Arch {
    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        })
    }
}

pub(crate) fn run(checkout: &Checkout, arch: Arch) -> Result<()> {
    let step = Step::start("tools", "looking for Rust, Node and Python");
    let tools = Tools::find()?;
    check_target(arch)?;
    step.done(&tools.summary);

    let step = Step::start("dependencies", "cargo-lambda");
    let installed = install_python(checkout, &tools, Requirements::CargoLambda, &step)?;
    step.done(if installed { "cargo-lambda and zig in .venv, as locked" } else { "unchanged" });

    let names = checkout.functions()?;
    let step = Step::silent("release", "");
    let mut command = cargo(checkout);
    command.args([
        "lambda",
        "build",
        "--release",
        "--output-format",
        "zip",
        "--target",
        arch.target(),
        "--lambda-dir",
    ]);
    command.arg(checkout.packages());
    for name in &names {
        command.args(["--package", name]);
    }
    // Cargo finds `cargo-lambda`, and that finds zig, on the path.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let venv = checkout.venv_bin("");
    let path = std::env::join_paths(std::iter::once(venv).chain(std::env::split_paths(&path)))?;
    run_shown(command.env("PATH", path))?;
    step.done(format_args!("{} functions for {arch}", names.len()));

    heading("Packages");
    for name in &names {
        let zip = checkout.packages().join(name).join("bootstrap.zip");
        let bytes = fs::metadata(&zip).with_context(|| format!("{} was not built", zip.display()))?.len();
        say(format_args!(
            "  {name:<22} {:>6} KB  {DIM}{}{DIM:#}",
            bytes.div_ceil(1000),
            checkout.display(&zip)
        ));
    }
    Ok(())
}

/// Says which command installs the target's standard library, instead of the compiler's "can't find crate `core`".
fn check_target(arch: Arch) -> Result<()> {
    let target = arch.target();
    let folder = output_of("rustc", &["--print", "target-libdir", "--target", target]);
    if folder.is_some_and(|folder| fs::exists(folder).unwrap_or(false)) {
        return Ok(());
    }
    bail!(
        "Rust cannot build for {arch} yet: `rustup target add {target}`. \
         (For the other processor: `cargo xtask package --arch {}`.)",
        match arch {
            Arch::Arm64 => Arch::X86_64,
            Arch::X86_64 => Arch::Arm64,
        }
    )
}
