//! Stripe, as far as the demo plays it: events and their signature, and an API that knows of them.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stripe_events::{SigningSecret, sign};

use crate::aws::{http, unix_now};
use crate::terminal::say;

/// The key that the API lets in.
pub(crate) const API_KEY: &str = stripe_api_fake::KEY;

/// Starts Stripe's API beside a local cloud, in its process group: whatever ends the cloud ends this too. The address
/// it listens on.
pub(crate) fn start_api(group: u32) -> Result<String> {
    let mut command = Command::new(own_program()?);
    command.arg(PLAY_API).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.process_group(group.try_into()?).spawn().context("cannot start Stripe's API")?;
    let mut url = String::new();
    let stdout = child.stdout.take().context("Stripe's API has no output")?;
    BufReader::new(stdout).read_line(&mut url).context("Stripe's API says nothing")?;
    ensure!(url.starts_with("http://"), "Stripe's API did not start");
    Ok(url.trim().to_owned())
}

/// This program, as it was started. Building the workspace for its tests replaces the file of the `cargo xtask` that
/// runs them, and Linux still finds the old one here: <https://man7.org/linux/man-pages/man5/proc_pid_exe.5.html>.
fn own_program() -> Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.is_symlink() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().context("cannot find this program")
}

/// What a program is started with to be Stripe's API.
const PLAY_API: &str = "stripe-api";

/// What every program does first that may bring up a local cloud: the cloud starts the program once more, to be
/// Stripe's API beside it. Says where it listens, and answers until it is killed.
pub fn play_api_if_asked() {
    if std::env::args().nth(1).as_deref() != Some(PLAY_API) {
        return;
    }
    let api = stripe_api_fake::StripeApi::start(|| i64::try_from(unix_now()).unwrap_or(i64::MAX));
    say(api.url());
    loop {
        std::thread::park();
    }
}

/// Puts an object into Stripe's API.
pub(crate) fn record(api: &str, event: &str) -> Result<()> {
    let answer =
        http().post(format!("{api}/fake/events")).send(event).context("Stripe's API does not answer")?;
    ensure!(answer.status().is_success(), "Stripe's API does not take the event");
    Ok(())
}

/// Puts an object into Stripe's API, of which no event is made.
pub(crate) fn record_object(api: &str, object: &Value) -> Result<()> {
    say_to(api, "objects", &object.to_string())
}

/// Says whether the delivery of an event to a webhook endpoint has succeeded.
pub(crate) fn record_delivery(api: &str, event_id: &str, delivered: bool) -> Result<()> {
    say_to(api, if delivered { "delivered" } else { "undelivered" }, event_id)
}

fn say_to(api: &str, what: &str, body: &str) -> Result<()> {
    let answer =
        http().post(format!("{api}/fake/{what}")).send(body).context("Stripe's API does not answer")?;
    ensure!(answer.status().is_success(), "Stripe's API does not take it");
    Ok(())
}

/// A destination as Stripe's dashboard would show it, which sends every event to an address.
///
/// <https://docs.stripe.com/api/v2/core/event-destinations/object>
pub(crate) fn webhook_destination(url: &str) -> Value {
    serde_json::json!({
        "id": "we_1LocalCloud", "object": "v2.core.event_destination", "type": "webhook_endpoint", "name": "local cloud",
        "description": "", "status": "enabled", "event_payload": "snapshot", "enabled_events": ["*"], "events_from": ["@self"],
        "livemode": false, "metadata": {}, "snapshot_api_version": stripe_api_fake::Published::get().api_version(),
        "created": "2026-11-18T11:06:40.000Z", "updated": "2026-11-18T11:06:40.000Z",
        "webhook_endpoint": { "url": url, "signing_secret": null },
    })
}

/// Puts a session's line items into Stripe's API.
pub(crate) fn record_line_items(api: &str, session_id: &str, items: &Value) -> Result<()> {
    let body = serde_json::json!([session_id, items]).to_string();
    let answer =
        http().post(format!("{api}/fake/line_items")).send(&body).context("Stripe's API does not answer")?;
    ensure!(answer.status().is_success(), "Stripe's API does not take the line items");
    Ok(())
}

/// The `Stripe-Signature` header for a body that is sent now.
pub(crate) fn signature(secret: &str, body: &str) -> Result<String> {
    let secret = SigningSecret::parse_all(secret).pop().context("the signing secret is not a `whsec_…`")?;
    Ok(sign(&secret, body.as_bytes(), unix_now().try_into()?))
}

/// An event as Stripe sends it, with its times moved so that it happened `seconds_ago`, and with some fields of its
/// object changed.
pub(crate) fn event(text: &str, seconds_ago: u64, changes: &[(&str, Value)]) -> Result<String> {
    let mut event: Value = serde_json::from_str(text).context("the event is not JSON")?;
    for (field, value) in changes {
        event["data"]["object"][*field] = value.clone();
    }
    let happened = unix_now().saturating_sub(seconds_ago);
    event["created"] = happened.into();
    // The customer took a minute and a half on Stripe's page.
    event["data"]["object"]["created"] = happened.saturating_sub(90).into();
    Ok(event.to_string())
}

/// The same event under an id of its own, where a recorded one is delivered twice.
pub(crate) fn renamed(event: &str, id: &str) -> Result<String> {
    let mut event: Value = serde_json::from_str(event).context("the event is not JSON")?;
    event["id"] = id.into();
    Ok(event.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLACED: &str = "AFTERLINK_TEST_REPLACED";

    /// The test starts a copy of itself, which removes its own file and has to start once more.
    #[test]
    fn a_program_whose_file_was_replaced_starts_itself_again() {
        if let Some(file) = std::env::var_os(REPLACED) {
            std::fs::remove_file(file).unwrap();
            let listed = Command::new(own_program().unwrap()).arg("--list").output().unwrap();
            assert!(String::from_utf8_lossy(&listed.stdout).contains("starts_itself_again"));
            return;
        }
        let copy = std::env::temp_dir().join(format!("afterlink-xtask-{}", std::process::id()));
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        let name = "stripe::tests::a_program_whose_file_was_replaced_starts_itself_again";
        let status = Command::new(&copy).args([name, "--exact"]).env(REPLACED, &copy).status().unwrap();
        assert!(status.success());
        assert!(!copy.exists());
    }
}
