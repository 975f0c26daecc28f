/// A mistake in `policy.toml`, in a sentence for its editor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy.toml: {0}")]
pub struct PolicyError(String);

impl PolicyError {
    pub(crate) const fn new(problem: String) -> Self {
        Self(problem)
    }
}
