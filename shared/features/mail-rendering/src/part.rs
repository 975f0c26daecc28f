/// The three files of a template, by their endings.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// `subject.txt`
    Subject,
    /// `html`
    Html,
    /// `txt`
    Text,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Subject, Self::Html, Self::Text];

    pub(crate) const fn ending(self) -> &'static str {
        match self {
            Self::Subject => "subject.txt",
            Self::Html => "html",
            Self::Text => "txt",
        }
    }
}
