use percent_encoding::percent_decode_str;

/// The query of a request, decoded.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn read(text: &str) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    /// The body of a POST, of whichever of the two types a form has.
    pub(crate) fn of_form(content_type: &str, body: &[u8]) -> Self {
        let Some((_, boundary)) = content_type.split_once("boundary=") else {
            return Self::read(&String::from_utf8_lossy(body));
        };
        // A byte is a character here: a file's size stays what it is.
        let body: String = body.iter().map(|byte| char::from(*byte)).collect();
        let separator = format!("--{boundary}");
        let parts = body.split(&separator).filter_map(|part| part.split_once("\r\n\r\n"));
        let pairs = parts.filter_map(|(head, value)| {
            let (_, name) = head.split_once("name=\"")?;
            Some((name.split('"').next()?.to_owned(), value.strip_suffix("\r\n")?.to_owned()))
        });
        Self(pairs.collect())
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.one(name)?.parse().ok()
    }
}
