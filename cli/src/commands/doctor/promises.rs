//! Whether what links promise is there: their templates, and the files they sell.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use download_claims::FOLDER;
use fulfilment::{FulfilmentKind, LinkContract, object_key};
use mail_rendering::is_template_file;
use mail_rendering::preview::{PreviewRequest, preview};
use stripe_client::PaymentLink;

use super::Check;
use crate::deployment::Deployment;
use crate::query_api::is_denial;

/// What is promised, and by which links.
type Promised = BTreeMap<String, BTreeSet<String>>;

pub(super) async fn of_promises(deployment: &Deployment, links: &[PaymentLink]) -> Vec<Check> {
    let s3 = Client::new(&deployment.sdk);
    let mut checks = Vec::new();
    if let Some(bucket) = deployment.optional("FilesBucketName") {
        for (key, links) in files_of(links, bucket) {
            let listed = names(&s3, bucket, &format!("{FOLDER}{key}")).await;
            checks.extend(of_file(&key, &links, listed));
        }
    }
    if let Some(bucket) = deployment.optional("TemplatesBucketName") {
        for (template, links) in templates_of(links) {
            let read = template_files(&s3, bucket, &template).await;
            checks.extend(of_template(&template, &links, read));
        }
    }
    checks
}

/// A template file: its path, and its bytes.
type TemplateFile = (String, Vec<u8>);

/// The files that mails of a template may use: its own, and the layouts.
async fn template_files(s3: &Client, bucket: &str, template: &str) -> Result<Vec<TemplateFile>, NotListed> {
    let mut files = Vec::new();
    for folder in [template, "layout"] {
        for path in names(s3, bucket, &format!("{folder}/")).await? {
            if !is_template_file(&path) {
                continue;
            }
            let found = s3.get_object().bucket(bucket).key(&path).send().await.map_err(not_listed)?;
            let bytes = found.body.collect().await.map_err(|error| (false, error.to_string()))?;
            files.push((path, bytes.to_vec()));
        }
    }
    Ok(files)
}

fn files_of(links: &[PaymentLink], bucket: &str) -> Promised {
    let mut promised = Promised::new();
    for link in links {
        let contract = LinkContract::from_metadata(&link.metadata).ok().flatten();
        let files = contract.map(|contract| contract.files).unwrap_or_default();
        for key in files.iter().filter_map(|typed| object_key(typed, bucket).ok()) {
            promised.entry(key).or_default().insert(link.id.clone());
        }
    }
    promised
}

/// The templates, with the links that name each and what these sell.
fn templates_of(links: &[PaymentLink]) -> BTreeMap<String, BTreeMap<String, FulfilmentKind>> {
    let mut templates = BTreeMap::<String, BTreeMap<String, FulfilmentKind>>::new();
    for link in links {
        let contract = LinkContract::from_metadata(&link.metadata).ok().flatten();
        if let Some((template, kind)) =
            contract.and_then(|contract| Some((contract.thank_you?, contract.kind)))
        {
            templates.entry(template.as_str().to_owned()).or_default().insert(link.id.clone(), kind);
        }
    }
    templates
}

/// Why a bucket could not be listed: whether the caller may not, and the error.
type NotListed = (bool, String);

/// The keys in a bucket that begin so. Not what is in the objects.
async fn names(s3: &Client, bucket: &str, prefix: &str) -> Result<BTreeSet<String>, NotListed> {
    match s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await {
        Ok(page) => Ok(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()),
        Err(error) => Err(not_listed(error)),
    }
}

fn not_listed<E>(error: E) -> NotListed
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let is_denied = error.code().is_some_and(is_denial);
    (is_denied, format!("{:#}", anyhow::Error::from(error)))
}

fn of_file(
    key: &str,
    links: &BTreeSet<String>,
    listed: Result<BTreeSet<String>, NotListed>,
) -> Option<Check> {
    let what = format!("file {key}");
    match listed {
        Ok(names) if names.contains(&format!("{FOLDER}{key}")) => None,
        Ok(_) => Some(Check::fail(
            what,
            format!("is sold by {} and not in the files bucket", joined(links)),
            "upload it: docs/runbooks/files-missing.md",
        )),
        Err((is_denied, error)) => Some(Check::unanswered(what, "s3:ListBucket", is_denied, error)),
    }
}

fn of_template(
    template: &str,
    links: &BTreeMap<String, FulfilmentKind>,
    read: Result<Vec<TemplateFile>, NotListed>,
) -> Option<Check> {
    let what = format!("template {template}");
    let files = match read {
        Ok(files) => files,
        Err((is_denied, error)) => {
            return Some(Check::unanswered(what, "s3:ListBucket, s3:GetObject", is_denied, error));
        }
    };
    let mistakes = mistakes_in(template, links.values().copied().collect(), &files);
    (!mistakes.is_empty()).then(|| {
        let names: BTreeSet<_> = links.keys().cloned().collect();
        let mistakes: Vec<_> = mistakes.into_iter().collect();
        Check::fail(
            what,
            format!("is named by {} and cannot be used: {}", joined(&names), mistakes.join("; ")),
            "correct it, or the link's `thank_you`; mails go out in the standard wording until then: docs/WORDING.md",
        )
    })
}

/// What keeps customers from getting a template, in every language it has, for each kind of product it is named by.
fn mistakes_in(template: &str, kinds: BTreeSet<FulfilmentKind>, files: &[TemplateFile]) -> BTreeSet<String> {
    let own = format!("{template}/");
    let locales: BTreeSet<_> = files
        .iter()
        .filter_map(|(path, _)| path.strip_prefix(&own)?.split_once('.'))
        .map(|(locale, _)| locale)
        .collect();
    if locales.is_empty() {
        return BTreeSet::from(["it was never uploaded".to_owned()]);
    }
    let mut mistakes = BTreeSet::new();
    for (kind, locale) in kinds.iter().flat_map(|kind| locales.iter().map(move |locale| (kind, locale))) {
        let request = PreviewRequest {
            template: template.to_owned(),
            locale: (*locale).to_owned(),
            kind: Some(kind.as_str().to_owned()),
            renewal: false,
            currency: "eur".to_owned(),
            minor: 1250,
            name: Some("Ada Lovelace".to_owned()),
            files: files.to_vec(),
        };
        match preview(&request) {
            Ok(shown) => mistakes.extend(shown.mistakes),
            Err(error) => mistakes.extend([error.to_string()]),
        }
    }
    mistakes
}

fn joined(links: &BTreeSet<String>) -> String {
    links.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::CheckResult;
    use super::*;

    fn link(id: &str, metadata: serde_json::Value) -> PaymentLink {
        serde_json::from_value(json!({ "id": id, "active": true, "metadata": metadata })).unwrap()
    }

    #[test]
    fn a_file_that_is_sold_and_not_there_fails_once_with_its_links() {
        let links = ["plink_1", "plink_2"].map(|id| {
            link(id, json!({ "fulfilment": "download", "soft_opt_in": "shown", "files": "guide.pdf" }))
        });
        let files = files_of(&links, "goods");
        assert_eq!(files.len(), 1);
        let (key, links) = files.iter().next().unwrap();
        let listed = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of_file(key, links, listed(&["files/guide.pdf", "files/guide.pdf.asc"])), None);
        let missing = of_file(key, links, listed(&["files/guide.pdf.asc"])).unwrap();
        assert_eq!(missing.result, CheckResult::Fail);
        assert!(missing.seen.contains("plink_1, plink_2"), "{}", missing.seen);
        let denied = of_file(key, links, Err((true, String::new()))).unwrap();
        assert_eq!(denied.result, CheckResult::Unchecked);
    }

    #[test]
    fn a_template_that_customers_would_not_get_fails_with_file_and_line() {
        let links = [link("plink_1", json!({ "fulfilment": "contribution", "thank_you": "gala" }))];
        let templates = templates_of(&links);
        let check = |files: &[(&str, &str)]| {
            let files =
                files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
            of_template("gala", &templates["gala"], Ok(files))
        };
        let whole =
            [("gala/en.subject.txt", "Thanks"), ("gala/en.html", "<p>Thanks"), ("gala/en.txt", "Thanks")];
        assert_eq!(check(&whole), None);
        let one = "Subject: Thanks\n\n# Thanks\n\nFor {{ amount }}.\n";
        assert_eq!(check(&[("gala/en.md", one)]), None);
        for (files, expected) in [
            (&[][..], "never uploaded"),
            (&whole[..2], "gala/en.txt: it is missing"),
            (&[whole[0], whole[1], ("gala/en.txt", "{{ amonut }}")][..], "gala/en.txt, line 1"),
            (&[("gala/en.md", "Subject: Thanks\n\n# {{ amonut }}\n")][..], "gala/en.md, line 3"),
        ] {
            let failed = check(files).unwrap();
            assert_eq!(failed.result, CheckResult::Fail);
            assert!(failed.seen.contains("plink_1") && failed.seen.contains(expected), "{}", failed.seen);
        }
    }
}
