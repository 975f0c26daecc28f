use super::super::tags::segments;
use super::*;

fn problems(html: &str) -> Vec<(usize, bool)> {
    check_html(&segments(html)).iter().map(|finding| (finding.line, finding.is_mistake)).collect()
}

#[test]
fn good_html_has_no_findings() {
    for html in [
        "<p>One<p>Two<br><hr/>",
        "<table><tr><td>a<td>b</table>",
        "<ul><li>a<li>b</ul>",
        "<P>Two < three</P>, 2<3",
        "<a href='https://example.org/?a=1&b=2' style=\"color: #fff\">x</a>",
        "<a href=\"{{ files_url }}\">x</a> <a href=\"mailto:{{ organisation.contact }}\">y</a>",
        "{% if renewal %}<p>a</p>{% else %}<p>b{% endif %}",
        "{% for file in files %}<li><b>{{ file.name }}</b></li>{% endfor %}",
        "{% block a %}<b>x</b>{% endblock %}<!-- <b> --><!DOCTYPE html>",
        "<a {% if x %}class=\"a\"{% endif %} href=\"https://example.org\">x</a>",
        "<a href=\"tel:+491234\">call</a>",
    ] {
        assert_eq!(problems(html), [], "{html}");
    }
}

#[test]
fn names_the_line_of_what_is_open_and_not_of_where_it_is_noticed() {
    for (html, expected) in [
        ("<p>\n<strong>a\n</p>\nb", vec![(2, true)]),
        ("<b>\n<i>\na</b></i>", vec![(2, true), (3, true)]),
        ("a\n<a href=\"https://x.org>b</a>\nc", vec![(2, true)]),
        ("a\n<a href='https://x.org\">b</a>\nc", vec![(2, true)]),
        ("{% block a %}\n<b>x\n{% endblock %}</b>", vec![(2, true), (3, true)]),
        ("<b", vec![(1, true)]),
        ("<a href=”https://x.org”>b</a>", vec![(1, true)]),
        ("<img src=\"hero.png\">", vec![(1, false)]),
        ("<a href=\"ftp://x.org\">b</a>", vec![(1, true)]),
        ("<a href=\"HTTP://x.org\">b</a>", vec![(1, false)]),
    ] {
        let mut found = problems(html);
        found.sort_unstable();
        assert_eq!(found, expected, "{html}");
    }
}
