use std::fmt::Display;
use std::str::FromStr;

/// Reads a function's configuration from its environment and reports every problem at once.
///
/// Each part of the configuration reads what it needs and hands back `None` when something is missing; the
/// problems gather here, and [`Environment::finish`] reports all of them.
///
/// ```
/// # use aws::Environment;
/// let variables = |name: &str| (name == "STAGE").then(|| "test".to_owned());
/// let mut env = Environment::new(variables);
/// let (stage, table) = (env.text("STAGE"), env.text("EFFECTS_TABLE"));
/// let error = env.finish(|| Some((stage?, table?))).unwrap_err();
/// assert_eq!(error.to_string(), "configuration: EFFECTS_TABLE is not set");
/// ```
pub struct Environment<L> {
    lookup: L,
    problems: Vec<String>,
}

/// The defects of the configuration, all of it. Values are never shown.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {}", .0.join("; "))]
pub struct ConfigError(Vec<String>);

impl<L: Fn(&str) -> Option<String>> Environment<L> {
    /// Reads through `lookup`; in `main` that is `|name| std::env::var(name).ok()`.
    pub const fn new(lookup: L) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// A variable that may be missing.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.trim().is_empty())
    }

    /// A variable that must be there. `None` has been recorded as a problem.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.problems.push(format!("{name} is not set"));
        }
        value
    }

    /// A variable that must be there and have a form. `None` has been recorded as a problem.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("{name} cannot be read ({error})"));
                None
            }
        }
    }

    /// Notes a problem of several variables together. Say no value: it may be a secret.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// The configuration, unless a problem was recorded.
    ///
    /// # Errors
    ///
    /// With every problem that was recorded.
    pub fn finish<C>(self, build: impl FnOnce() -> Option<C>) -> Result<C, ConfigError> {
        // Two parts may need the same variable; it is one thing to fix.
        let mut problems = self.problems;
        problems.sort();
        problems.dedup();
        match build() {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError(problems)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_all_problems_at_once_and_no_value() {
        let mut env = Environment::new(|name: &str| match name {
            "BASE" => Some("soon".to_owned()),
            "EMPTY" => Some(" ".to_owned()),
            _ => None,
        });
        let base = env.parsed::<u32>("BASE");
        let empty = env.text("EMPTY");
        let missing = env.text("MISSING");
        let error = env.finish(|| Some((base?, empty?, missing?))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "configuration: BASE cannot be read (invalid digit found in string); EMPTY is not set; \
             MISSING is not set"
        );
    }
}
