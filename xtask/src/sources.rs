//! The files of a checkout in memory, to be laid out as a copy.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::checkout::Checkout;
use crate::process::output_of;

/// What git knows of, or would: every file of the checkout as it is now, in memory. A later edit there
/// changes nothing here.
pub(crate) struct Sources(BTreeMap<PathBuf, Vec<u8>>);

impl Sources {
    pub(crate) fn of(checkout: &Checkout) -> Result<Self> {
        let root = checkout.root().to_string_lossy();
        let arguments = ["-C", root.as_ref(), "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = output_of("git", &arguments).context("git cannot list the files of this clone")?;
        let mut files = BTreeMap::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // A deleted file that is not committed is not there.
            if let Ok(content) = fs::read(checkout.root().join(path)) {
                files.insert(PathBuf::from(path), content);
            }
        }
        Ok(Self(files))
    }

    pub(crate) fn text(&self, path: &Path) -> Result<&str> {
        let content = self.0.get(path).with_context(|| format!("there is no {}", path.display()))?;
        std::str::from_utf8(content).with_context(|| format!("{} is no text", path.display()))
    }

    /// Makes a folder hold these files and no other, with some of them changed. A file that is right is not
    /// touched, so that cargo builds no more than it must.
    pub(crate) fn lay_out(&self, folder: &Path, changed: &[(PathBuf, String)]) -> Result<()> {
        self.clear(folder, Path::new(""))?;
        for (path, content) in &self.0 {
            let changed = changed.iter().find(|(changed, _)| changed == path);
            let content = changed.map_or(content.as_slice(), |(_, text)| text.as_bytes());
            let target = folder.join(path);
            if fs::read(&target).is_ok_and(|current| current == content) {
                continue;
            }
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&target, content).with_context(|| format!("cannot write {}", target.display()))?;
        }
        Ok(())
    }

    /// Removes files that are no sources any more, or were left by a test, and folders that are empty without them:
    /// cargo would take one of them for a package. A link leads out of the folder and stays.
    fn clear(&self, folder: &Path, below: &Path) -> Result<()> {
        let Ok(entries) = fs::read_dir(folder.join(below)) else {
            return Ok(());
        };
        for entry in entries {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.clear(folder, &path)?;
                // It fails where something is left in it.
                let _not_empty = fs::remove_dir(entry.path());
            } else if kind.is_file() && !self.0.contains_key(&path) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Links what is installed for the checkout, at a path in it, into a copy.
pub(crate) fn link_installed(checkout: &Checkout, copy: &Path, path: &str) -> Result<()> {
    let link = copy.join(path);
    if link.is_symlink() {
        return Ok(());
    }
    symlink(checkout.root().join(path), &link).with_context(|| format!("cannot link {}", link.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_laid_out_and_taken_back_and_strays_go() {
        let folder = std::env::temp_dir().join(format!("afterlink-mutants-{}", std::process::id()));
        let files = [("a/code.rs", "good"), ("b.toml", "same")];
        let sources =
            Sources(files.map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).into());
        let read = |path: &str| fs::read_to_string(folder.join(path)).ok();

        sources.lay_out(&folder, &[(PathBuf::from("a/code.rs"), "bad".to_owned())]).unwrap();
        assert_eq!((read("a/code.rs"), read("b.toml")), (Some("bad".to_owned()), Some("same".to_owned())));
        fs::write(folder.join("a/stray.snap.new"), "left by a test").unwrap();
        fs::create_dir_all(folder.join("moved/src")).unwrap();
        fs::write(folder.join("moved/src/lib.rs"), "no source any more").unwrap();
        let untouched = fs::metadata(folder.join("b.toml")).unwrap().modified().unwrap();

        sources.lay_out(&folder, &[]).unwrap();
        assert_eq!((read("a/code.rs"), read("a/stray.snap.new")), (Some("good".to_owned()), None));
        assert!(!folder.join("moved").exists());
        assert_eq!(fs::metadata(folder.join("b.toml")).unwrap().modified().unwrap(), untouched);
        fs::remove_dir_all(folder).unwrap();
    }
}
