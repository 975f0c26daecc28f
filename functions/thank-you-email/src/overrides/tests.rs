use std::cell::RefCell;
use std::rc::Rc;

use icu_locale_core::langid;
use mail_rendering::Part;
use minijinja::context;
use testkit::clock::ManualClock;

use super::*;

/// A bucket in memory that remembers what it was asked; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct InMemoryTemplates {
    pub(crate) files: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    pub(crate) calls: Rc<RefCell<Vec<String>>>,
    /// What every call is answered with instead.
    pub(crate) failure: Rc<RefCell<Option<FilesError>>>,
}

impl InMemoryTemplates {
    pub(crate) fn put(&self, path: &str, text: &str) {
        self.files.borrow_mut().insert(path.to_owned(), text.into());
    }

    pub(crate) fn fail(&self, failure: Option<FilesError>) {
        *self.failure.borrow_mut() = failure;
    }

    async fn answer(&self, call: &str) -> Result<(), FilesError> {
        self.calls.borrow_mut().push(call.to_owned());
        // Lets the other mails of a batch come in between.
        tokio::task::yield_now().await;
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }
}

impl TemplateFiles for InMemoryTemplates {
    async fn list(&self) -> Result<Vec<ListedFile>, FilesError> {
        self.answer("list").await?;
        let listed = |(path, bytes): (&String, &Vec<u8>)| ListedFile {
            path: path.clone(),
            version: format!("{bytes:?}"),
            size: bytes.len().try_into().unwrap(),
        };
        Ok(self.files.borrow().iter().map(listed).collect())
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
        self.answer(path).await?;
        Ok(self.files.borrow().get(path).cloned())
    }
}

struct Case {
    files: InMemoryTemplates,
    clock: ManualClock,
    overrides: Overrides<InMemoryTemplates, ManualClock>,
}

impl Case {
    fn new() -> Self {
        let files = InMemoryTemplates::default();
        let clock = ManualClock::default();
        Self { overrides: Overrides::new(files.clone(), clock.clone()), files, clock }
    }

    /// The subject a template has now; `None` when no file of its own is there.
    async fn subject(&self, template: &str) -> Result<Option<String>, FilesError> {
        let own = self.overrides.wordings(&[template, "contribution"]).await?;
        Ok(own.map(|own| {
            let locales = [langid!("en")];
            let wording = own.find(template, &locales, |_| ()).expect(template);
            let organisation = context! { name => "Example Project" };
            own.fill(&wording, Part::Subject, &context! { organisation }).unwrap()
        }))
    }

    fn calls(&self) -> Vec<String> {
        self.files.calls.take()
    }
}

const MINUTE_MS: i64 = 60_000;

fn unavailable() -> FilesError {
    FilesError::Unavailable("SlowDown".to_owned())
}

#[tokio::test]
async fn an_empty_bucket_costs_one_call_in_five_minutes() {
    let case = Case::new();
    for _ in 0..3 {
        assert_eq!(case.subject("contribution").await, Ok(None));
    }
    assert_eq!(case.calls(), ["list"]);
    case.clock.advance_ms(5 * MINUTE_MS);
    assert_eq!(case.subject("contribution").await, Ok(None));
    assert_eq!(case.calls(), ["list"]);
}

#[tokio::test]
async fn a_new_template_is_found_at_once_and_a_missing_one_is_looked_for_every_ten_seconds() {
    let case = Case::new();
    assert_eq!(case.subject("contribution").await, Ok(None));
    case.clock.advance_ms(10_000);
    case.files.put("gala/en.subject.txt", "The gala");
    case.files.put("gala/en.html", "The gala");
    case.files.put("gala/en.txt", "The gala");
    assert_eq!(case.subject("gala").await, Ok(Some("The gala".to_owned())));
    case.calls();
    // One that nobody uploaded: its mails go out in the standard wording meanwhile, and a rush of them lists once.
    case.clock.advance_ms(9_999);
    let missing = async || case.overrides.wordings(&["autumn", "contribution"]).await.unwrap().is_some();
    assert!(!missing().await);
    assert_eq!(case.calls(), Vec::<String>::new());
    case.clock.advance_ms(1);
    for _ in 0..3 {
        assert!(!missing().await);
    }
    assert_eq!(case.calls(), ["list"]);
    // Also where the bucket does not answer: as it was last seen, and not at every mail.
    case.files.fail(Some(unavailable()));
    case.clock.advance_ms(10_000);
    for _ in 0..3 {
        assert!(!missing().await);
    }
    assert_eq!(case.calls(), ["list"]);
    // What ships, and what the list has, is not looked for.
    case.files.fail(None);
    case.clock.advance_ms(10_000);
    assert_eq!(case.subject("gala").await, Ok(Some("The gala".to_owned())));
    assert_eq!(case.subject("contribution").await, Ok(None));
    assert_eq!(case.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn reads_only_what_the_mail_may_use_and_each_file_once() {
    let case = Case::new();
    for path in ["gala/en.subject.txt", "gala/en.html", "gala/en.txt", "layout/en.txt", "gala/hero.png"] {
        case.files.put(path, "The gala");
    }
    case.files.put("autumn/en.txt", "Leaves");
    case.files.put("readme.txt", "Ask Ada");
    assert_eq!(case.subject("gala").await, Ok(Some("The gala".to_owned())));
    let mut calls = case.calls();
    calls.sort();
    assert_eq!(calls, ["gala/en.html", "gala/en.subject.txt", "gala/en.txt", "layout/en.txt", "list"]);
    assert_eq!(case.subject("gala").await, Ok(Some("The gala".to_owned())));
    assert_eq!(case.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn mails_that_come_together_read_once() {
    let case = Case::new();
    case.files.put("contribution/en.subject.txt", "Thanks");
    let (one, other) = tokio::join!(case.subject("contribution"), case.subject("contribution"));
    assert_eq!((one.clone(), one), (other, Ok(Some("Thanks".to_owned()))));
    assert_eq!(case.calls(), ["list", "contribution/en.subject.txt"]);
}

#[tokio::test]
async fn a_change_is_seen_within_five_minutes_and_only_what_changed_is_read() {
    let case = Case::new();
    case.files.put("contribution/en.subject.txt", "Thanks");
    case.files.put("contribution/en.html", "<p>Thanks</p>");
    case.subject("contribution").await.unwrap();
    case.calls();

    case.files.put("contribution/en.subject.txt", "Many thanks");
    case.clock.advance_ms(5 * MINUTE_MS - 1);
    assert_eq!(case.subject("contribution").await, Ok(Some("Thanks".to_owned())));
    case.clock.advance_ms(1);
    assert_eq!(case.subject("contribution").await, Ok(Some("Many thanks".to_owned())));
    assert_eq!(case.calls(), ["list", "contribution/en.subject.txt"]);

    case.files.files.borrow_mut().clear();
    case.clock.advance_ms(5 * MINUTE_MS);
    assert_eq!(case.subject("contribution").await, Ok(None));
}

#[tokio::test]
async fn a_file_taken_away_between_listing_and_reading_is_not_there() {
    struct Vanishing(InMemoryTemplates);

    impl TemplateFiles for Vanishing {
        async fn list(&self) -> Result<Vec<ListedFile>, FilesError> {
            let listed = self.0.list().await;
            self.0.files.borrow_mut().clear();
            listed
        }

        async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
            self.0.read(path).await
        }
    }

    let files = InMemoryTemplates::default();
    files.put("contribution/en.txt", "Thanks");
    let overrides = Overrides::new(Vanishing(files), ManualClock::default());
    assert!(overrides.wordings(&["contribution"]).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_seen_last_serves_while_the_bucket_is_away() {
    let case = Case::new();
    case.files.put("contribution/en.subject.txt", "Thanks");
    case.subject("contribution").await.unwrap();
    case.files.put("contribution/en.subject.txt", "Many thanks");
    case.files.fail(Some(unavailable()));
    case.clock.advance_ms(5 * MINUTE_MS);
    assert_eq!(case.subject("contribution").await, Ok(Some("Thanks".to_owned())));
    case.files.fail(None);
    case.clock.advance_ms(MINUTE_MS / 2);
    assert_eq!(case.subject("contribution").await, Ok(Some("Many thanks".to_owned())));
}

#[tokio::test]
async fn nothing_seen_yet_and_a_bucket_away_is_an_error_that_passes() {
    let case = Case::new();
    case.files.put("contribution/en.subject.txt", "Thanks");
    case.files.fail(Some(unavailable()));
    assert_eq!(case.subject("contribution").await, Err(unavailable()));
    case.files.fail(None);
    assert_eq!(case.subject("contribution").await, Ok(Some("Thanks".to_owned())));
}

/// A refusal lasts, and is noticed only if old files do not hide it.
#[tokio::test]
async fn a_refusal_is_an_error_even_when_something_was_seen() {
    let case = Case::new();
    case.subject("contribution").await.unwrap();
    let refused = FilesError::Refused("AccessDenied".to_owned());
    case.files.fail(Some(refused.clone()));
    case.clock.advance_ms(5 * MINUTE_MS);
    assert_eq!(case.subject("contribution").await, Err(refused));
}

#[tokio::test]
async fn a_file_too_large_is_never_read_and_counts_as_broken() {
    let case = Case::new();
    case.files.put("contribution/en.html", &"x".repeat(100 * 1024 + 1));
    let own = case.overrides.wordings(&["contribution"]).await.unwrap().unwrap();
    assert_eq!(case.calls(), ["list"]);
    let wording = own.find("contribution", &[langid!("en")], |_| ()).unwrap();
    let broken = own.fill(&wording, Part::Html, &context! {}).unwrap_err();
    assert!(broken.to_string().contains("larger than 100 KB"), "{broken}");
}

#[test]
fn reads_what_any_editor_writes() {
    let check = |bytes: &[u8], expected: Result<&str, Unusable>| {
        assert_eq!(text_of(bytes.to_vec()).as_deref().map_err(|unusable| *unusable), expected);
    };
    check("Grüße\n".as_bytes(), Ok("Grüße\n"));
    check(b"\xef\xbb\xbfThanks\r\n\r\nAda", Ok("Thanks\n\nAda"));
    check(b"", Ok(""));
    check(b"Gr\xfc\xdfe", Err(Unusable("not text in UTF-8")));
    check(b"\xff\xfeT\0", Err(Unusable("not text in UTF-8")));
}
