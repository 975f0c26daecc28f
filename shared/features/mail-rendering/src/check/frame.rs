//! What a file does with the frame that it builds on.

use std::collections::BTreeSet;

use super::Finding;
use super::files::{Ending, OwnFile, OwnTemplate};
use super::sentences::nearest;
use super::tags::{Segment, SegmentKind, segments};
use crate::wording::BUILT_IN;

/// What a template does with the frame.
pub(super) fn check_frame(file: &OwnFile, segments: &[Segment<'_>], own: &OwnTemplate) -> Vec<Finding> {
    let has_frame = matches!(file.ending, Ending::Html | Ending::Text);
    if !has_frame {
        return Vec::new();
    }
    let extends =
        segments.iter().find(|segment| segment.kind == SegmentKind::Statement && segment.word() == "extends");
    let Some(extends) = extends else {
        let begin = "Begin the file with";
        let ending = if file.ending == Ending::Html { "html" } else { "txt" };
        return vec![Finding::warning(
            &file.path,
            0,
            "It is without the frame: no greeting, no summary of the payment, no address of yours below."
                .to_owned(),
            format!(
                "{begin} `{{% extends \"layout/{}.{ending}\" %}}`, unless you mean it so.",
                file.locale.language
            ),
        )];
    };
    let mut findings = Vec::new();
    let parent = extends.constant().unwrap_or_default();
    findings.extend(check_parent(file, extends.line, parent));
    let blocks = blocks_of(parent, own);
    let mut depth = 0_usize;
    for segment in segments {
        match (segment.kind, segment.word()) {
            (SegmentKind::Statement, "block") => {
                let name = segment.after_word();
                if depth == 0 && !blocks.is_empty() && !blocks.contains(name) {
                    findings.push(unknown_block(file, segment.line, name, &blocks));
                }
                depth += 1;
            }
            (SegmentKind::Statement, "endblock") => depth = depth.saturating_sub(1),
            (SegmentKind::Text, _) if depth == 0 && !segment.text.trim().is_empty() => {
                let before = segment.text.len() - segment.text.trim_start().len();
                let line = segment.line + segment.text[..before].matches('\n').count();
                findings.push(Finding::mistake(
                    &file.path,
                    line,
                    "The text here is outside of every block, so customers do not see it.".to_owned(),
                    "Move it between `{% block message %}` and `{% endblock %}`.",
                ));
            }
            _ => {}
        }
    }
    findings
}

fn check_parent(file: &OwnFile, line: usize, parent: &str) -> Option<Finding> {
    let name = parent.strip_prefix("layout/")?;
    let (tag, ending) = name.split_once('.')?;
    let wanted = if file.ending == Ending::Html { "html" } else { "txt" };
    let language = file.locale.language.to_string();
    if ending != wanted {
        return Some(Finding::mistake(
            &file.path,
            line,
            format!("The frame `{parent}` is for the other part of the mail."),
            format!("Write `layout/{tag}.{wanted}`."),
        ));
    }
    let is_tag = tag.split('-').next().is_some_and(|language| language.len() <= 3);
    let is_language = is_tag && tag.split('-').next() != Some(&*language);
    is_language.then(|| {
        Finding::warning(
            &file.path,
            line,
            format!("The words are in `{language}` and the frame in `{tag}`: greeting, labels and footer are in another language."),
            format!("Write `layout/{language}.{wanted}`."),
        )
    })
}

fn unknown_block(file: &OwnFile, line: usize, name: &str, blocks: &BTreeSet<String>) -> Finding {
    let meant = nearest(name, blocks.iter().map(String::as_str));
    // The usual word of other frames.
    let meant = meant.or_else(|| ["body", "content", "main", "text"].contains(&name).then_some("message"));
    let fix = match meant {
        Some(meant) => format!("Did you mean `{{% block {meant} %}}`?"),
        None => {
            "The frame has `heading`, `message`, `preheader`, `greeting`, `closing`, `summary` and `footer`."
                .to_owned()
        }
    };
    Finding::mistake(
        &file.path,
        line,
        format!("The frame has no block `{name}`, so customers do not see what is in it."),
        fix,
    )
}

/// The blocks of a frame and of the frames that it builds on.
fn blocks_of(parent: &str, own: &OwnTemplate) -> BTreeSet<String> {
    let mut blocks = BTreeSet::new();
    let mut next = Some(parent.to_owned());
    // Frames build on frames, a few deep; one that builds on itself does so without end.
    for _ in 0..4 {
        let Some(path) = next.take() else { break };
        let own_text = own.all.get(&path).and_then(|text| text.as_ref().ok()).map(|text| &**text);
        let Some(text) = own_text.or_else(|| BUILT_IN.get_file(&path)?.contents_utf8()) else { break };
        for segment in segments(text) {
            if segment.kind != SegmentKind::Statement {
                continue;
            }
            match segment.word() {
                "block" => drop(blocks.insert(segment.after_word().to_owned())),
                "extends" => next = segment.constant().map(str::to_owned),
                _ => {}
            }
        }
    }
    blocks
}
