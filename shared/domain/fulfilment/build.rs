//! Reads `policy.toml` when the code is built, so that no function has to bring a parser of TOML and use it at each
//! start, nor the database of all time zones for the one of the organisation.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use toml::Value;

const POLICY: &str = "../../../policy.toml";

/// The years that payments are made in, as Unix seconds: 2010 to 2100.
const PAYMENTS: std::ops::Range<i64> = 1_262_304_000..4_102_444_800;

#[expect(clippy::disallowed_methods, reason = "Cargo tells a build script where to write by the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={POLICY}");
    let mut policy: toml::Table = toml::from_str(&fs::read_to_string(POLICY)?)?;
    if let Some(zone) =
        policy.get_mut("organisation").and_then(|organisation| organisation.get_mut("time_zone"))
    {
        *zone = looked_up(zone)?;
    }
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(folder.join("policy.json"), serde_json::to_vec(&policy)?)?;
    Ok(())
}

/// A time zone with its changes of offset in place of its name.
fn looked_up(zone: &Value) -> Result<Value, Box<dyn Error>> {
    let name = zone.as_str().unwrap_or_default();
    if name == "UTC" {
        return Ok(zone.clone());
    }
    let found = TimeZone::get(name).map_err(|_| {
        format!(
            "policy.toml: [organisation] `time_zone` is {name:?}, which the IANA database does not have; write a name like \
             \"Europe/London\""
        )
    })?;
    let offset = |at: i64| -> Result<i64, jiff::Error> {
        Ok(found.to_offset(Timestamp::from_second(at)?).seconds().into())
    };
    let change = |at: i64, offset: i64| Value::Array(vec![Value::Integer(at), Value::Integer(offset)]);
    let mut changes = vec![change(PAYMENTS.start, offset(PAYMENTS.start)?)];
    for next in found.following(Timestamp::from_second(PAYMENTS.start)?) {
        let at = next.timestamp().as_second();
        if at >= PAYMENTS.end {
            break;
        }
        changes.push(change(at, offset(at)?));
    }
    let name = Value::String(name.to_owned());
    Ok(toml::Table::from_iter([("name".to_owned(), name), ("changes".to_owned(), changes.into())]).into())
}
