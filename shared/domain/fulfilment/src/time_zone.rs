use std::borrow::Cow;

use serde::Deserialize;

/// The organisation's time zone: what it calls a day.
///
/// The build script looks the zone of `policy.toml` up in the IANA database and compiles in its changes of offset, a
/// kilobyte. The whole database, or a crate that reads it, would be 100 KB and more of each function's package for the
/// one zone an organisation has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct TimeZone {
    name: Cow<'static, str>,
    /// From when on (Unix seconds) which offset holds (seconds east of UTC), in order of time.
    changes: Vec<(i64, i64)>,
}

/// As the build script writes it; UTC may be written as its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    LookedUp { name: String, changes: Vec<(i64, i64)> },
}

impl TimeZone {
    /// Universal time, the same everywhere.
    pub const UTC: Self = Self { name: Cow::Borrowed("UTC"), changes: Vec::new() };

    /// A zone by its changes: from when on (Unix seconds) which offset holds (seconds east of UTC).
    pub fn new(name: impl Into<Cow<'static, str>>, mut changes: Vec<(i64, i64)>) -> Self {
        changes.sort_unstable();
        Self { name: name.into(), changes }
    }

    /// The name in the IANA database: `Europe/Berlin`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether days are UTC's own, for want of a decision.
    pub fn is_utc(&self) -> bool {
        *self == Self::UTC
    }

    /// The clock on the wall at a time in Unix seconds, as if it were UTC's.
    pub fn local(&self, unix_seconds: i64) -> i64 {
        let begun = self.changes.partition_point(|(from, _)| *from <= unix_seconds);
        // Before the first change the first offset is as good as any: no payment is so old.
        let in_force = self.changes.get(begun.saturating_sub(1));
        unix_seconds.saturating_add(in_force.map_or(0, |(_, offset)| *offset))
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::UTC
    }
}

impl TryFrom<Written> for TimeZone {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::LookedUp { name, changes } => Ok(Self::new(name, changes)),
            Written::Name(name) if name == "UTC" => Ok(Self::UTC),
            Written::Name(name) => Err(format!("the time zone {name} was not looked up by the build script")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_in_force_decides_about_the_day() {
        // New York: winter until 2026-03-08T07:00Z, summer until 2026-11-01T06:00Z, winter.
        let new_york = TimeZone::new(
            "America/New_York",
            vec![(1_762_063_200, -18_000), (1_772_953_200, -14_400), (1_793_512_800, -18_000)],
        );
        let check = |utc: i64, local: i64| assert_eq!(new_york.local(utc) - utc, local, "{utc}");
        check(1_767_225_600, -18_000);
        check(1_772_953_199, -18_000);
        check(1_772_953_200, -14_400);
        check(1_793_512_799, -14_400);
        check(1_793_512_800, -18_000);
        check(4_000_000_000, -18_000);
        check(0, -18_000);
        assert_eq!(TimeZone::UTC.local(1_793_512_800), 1_793_512_800);
    }

    #[test]
    fn reads_what_the_build_script_writes() {
        let read = |json: &str| serde_json::from_str::<TimeZone>(json);
        assert_eq!(read("\"UTC\"").unwrap(), TimeZone::UTC);
        let zone = read("{\"name\":\"Asia/Kolkata\",\"changes\":[[0,19800]]}").unwrap();
        assert_eq!((zone.name(), zone.local(100)), ("Asia/Kolkata", 19_900));
        assert!(read("\"Asia/Kolkata\"").is_err());
    }
}
