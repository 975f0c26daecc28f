//! Writes published events and what was paid into a folder: `analysts FOLDER`.

// As in the library.
#![recursion_limit = "256"]

use std::fs::{self, File};
use std::path::PathBuf;

use analysts::{SEED, Story, published};
use anyhow::{Context as _, Result};
use aws::Clock as _;
use serde_json::json;
use testkit::clock::ManualClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map(PathBuf::from).context("a folder to write into is missing")?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let story = Story::from_seed(SEED);
    let clock = ManualClock::default();
    let mut lines = published(&story, &story.events, &clock).await?;
    // The ledger is lost, and some of it is published once more, an hour later.
    clock.advance_ms(3_600_000);
    let again: Vec<_> = story.events.iter().step_by(3).cloned().collect();
    lines.extend(published(&story, &again, &clock).await?);
    let parquet = folder.join("events.parquet");
    let file = File::create(&parquet).with_context(|| format!("cannot create {}", parquet.display()))?;
    acquisition_history::write_parquet(&lines, file)?;
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    let sent = json!({ "now": clock.now_ms() / 1000, "payments": story.sent });
    for (name, text) in [("events.ndjson", text), ("sent.json", sent.to_string())] {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
