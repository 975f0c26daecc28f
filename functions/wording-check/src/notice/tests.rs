use super::*;

fn finding(line: usize, severity: Severity) -> Finding {
    Finding {
        path: "autumn-appeal/en.html".to_owned(),
        line,
        severity,
        problem: "There is no block `body` & <b>nothing</b> shows it.".to_owned(),
        fix: "Write {% block message %}.".to_owned(),
    }
}

fn checked(findings: Vec<Finding>) -> Checked<'static> {
    let usable = ["en", "de"].map(str::to_owned).to_vec();
    let folder = "autumn-appeal";
    Checked { folder, stage: "live", findings, usable, is_layout: false, is_owner_refused: false }
}

#[test]
fn the_subject_says_whether_there_is_something_to_do() {
    let subject = |findings: Vec<Finding>| checked(findings).notice().subject;
    let (error, warning) = (|| finding(3, Severity::Mistake), || finding(0, Severity::Warning));
    assert_eq!(subject(vec![]), "autumn-appeal is ready to use: en, de");
    assert_eq!(subject(vec![warning()]), "autumn-appeal is ready to use: en, de (1 thing to look at)");
    assert_eq!(subject(vec![error()]), "1 thing to fix in autumn-appeal");
    assert_eq!(subject(vec![error(), warning()]), "2 things to fix in autumn-appeal");
}

#[test]
fn each_finding_has_file_line_problem_and_fix() {
    let notice = checked(vec![finding(3, Severity::Mistake), finding(0, Severity::Warning)]).notice();
    insta::assert_snapshot!(notice.text, @"
    2 things to fix in autumn-appeal

    autumn-appeal/en.html, line 3
      There is no block `body` & <b>nothing</b> shows it.
      Fix: Write {% block message %}.

    autumn-appeal/en.html
      There is no block `body` & <b>nothing</b> shows it.
      Fix: Write {% block message %}.

    Until this is fixed, customers get the standard mail wherever these files cannot be used. Upload the corrected files: they are checked again, and you get another mail like this one.

    Mails that go out within five minutes after an upload may still have the wording of before.

    Checked when it was uploaded to the templates of stage live.
    ");
    insta::assert_snapshot!(notice.html, @r#"
    <!doctype html>
    <html lang="en"><body style="font-family:sans-serif;font-size:15px;line-height:1.5">
    <h1 style="font-size:18px">2 things to fix in autumn-appeal</h1>
    <p><strong>autumn-appeal/en.html, line 3</strong><br>There is no block `body` &amp; &lt;b&gt;nothing&lt;/b&gt; shows it.<br>Fix: Write {% block message %}.</p>
    <p><strong>autumn-appeal/en.html</strong><br>There is no block `body` &amp; &lt;b&gt;nothing&lt;/b&gt; shows it.<br>Fix: Write {% block message %}.</p>
    <p>Until this is fixed, customers get the standard mail wherever these files cannot be used. Upload the corrected files: they are checked again, and you get another mail like this one.</p>
    <p>Mails that go out within five minutes after an upload may still have the wording of before.</p>
    <p>Checked when it was uploaded to the templates of stage live.</p>
    </body></html>
    "#);
}

#[test]
fn a_template_that_is_ready_says_how_it_is_used() {
    insta::assert_snapshot!(checked(vec![]).notice().text, @"
    autumn-appeal is ready to use: en, de

    To use it, write thank_you = autumn-appeal into the metadata of a Payment Link.

    Mails that go out within five minutes after an upload may still have the wording of before.

    Checked when it was uploaded to the templates of stage live.
    ");
}

#[test]
fn a_refused_owner_and_a_long_list_are_said() {
    let mut many = checked(vec![finding(3, Severity::Mistake); 33]);
    many.is_owner_refused = true;
    let notice = many.notice();
    assert_eq!(notice.subject, "33 things to fix in autumn-appeal");
    assert_eq!(notice.text.matches("There is no block").count(), MOST_LISTED);
    assert!(notice.text.contains("And 13 things more: correct these first."), "{}", notice.text);
    assert!(notice.text.contains("owner.txt in this folder is not one address"), "{}", notice.text);
    assert!(!checked(vec![]).notice().text.contains("owner.txt"));
}

#[test]
fn a_folders_name_breaks_neither_the_subject_nor_the_html() {
    let name = format!("<script>alert(1)</script>\r\nBcc: eve@evil.net {}", "x".repeat(200));
    let checked = Checked { folder: &name, ..checked(vec![]) };
    let notice = checked.notice();
    assert!(!notice.subject.contains(['\r', '\n']) && notice.subject.len() < 120, "{}", notice.subject);
    assert!(!notice.html.contains("<script"), "{}", notice.html);
}
