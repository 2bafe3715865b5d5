//! HTML that cannot be anything but what it says: text goes in by one function, which escapes it, and elements are made of what goes in.
//! Names of jobs and what they print are not trusted.

use crate::escape::visible_but;

/// A piece of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

/// Text; what would act on a terminal or turn the direction of writing is made visible, but lines and tabs stay.
pub(super) fn text(text: impl AsRef<str>) -> Html {
    let shown = visible_but(text.as_ref().as_bytes(), |c| c == '\n' || c == '\t');
    let mut escaped = String::with_capacity(shown.len());
    for c in shown.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    Html(escaped)
}

/// An element with its attributes.
pub(super) fn element(
    name: &'static str,
    attributes: &[(&'static str, &str)],
    children: impl IntoIterator<Item = Html>,
) -> Html {
    let mut html = open(name, attributes);
    for child in children {
        html.push_str(&child.0);
    }
    Html(html + "</" + name + ">")
}

/// An element that has no content, such as `meta`.
pub(super) fn lone(name: &'static str, attributes: &[(&'static str, &str)]) -> Html {
    Html(open(name, attributes))
}

fn open(name: &'static str, attributes: &[(&'static str, &str)]) -> String {
    let mut html = format!("<{name}");
    for (name, value) in attributes {
        html.extend([" ", name, "=\"", &text(value).0, "\""]);
    }
    html + ">"
}

/// Several pieces as one.
pub(super) fn all(pieces: impl IntoIterator<Item = Html>) -> Html {
    Html(pieces.into_iter().map(|piece| piece.0).collect())
}

/// An element with nothing but text.
pub(super) fn words(name: &'static str, content: impl AsRef<str>) -> Html {
    element(name, &[], [text(content)])
}

/// A link.
pub(super) fn link(address: &str, content: impl AsRef<str>) -> Html {
    element("a", &[("href", address)], [text(content)])
}

/// A table whose rows begin with what they are about. On a narrow screen its style sheet shows each row as a list, which is why roles and
/// the titles of columns are said again.
pub(super) fn table(caption: &str, titles: &[&str], rows: Vec<Vec<Html>>) -> Html {
    let head = titles
        .iter()
        .map(|title| element("th", &[("scope", "col"), ("role", "columnheader")], [text(title)]));
    let head = element("tr", &[("role", "row")], head);
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().zip(titles).enumerate().map(|(at, (content, title))| {
            let content = [element("div", &[], [content])];
            if at == 0 {
                element("th", &[("scope", "row"), ("role", "rowheader")], content)
            } else {
                element("td", &[("role", "cell"), ("data-title", title)], content)
            }
        });
        element("tr", &[("role", "row")], cells)
    });
    element(
        "table",
        &[("role", "table")],
        [
            words("caption", caption),
            element("thead", &[("role", "rowgroup")], [head]),
            element("tbody", &[("role", "rowgroup")], rows),
        ],
    )
}

/// A list of facts with their names.
pub(super) fn facts(facts: impl IntoIterator<Item = (&'static str, Html)>) -> Html {
    let facts = facts
        .into_iter()
        .map(|(name, fact)| element("div", &[], [words("dt", name), element("dd", &[], [fact])]));
    element("dl", &[], facts)
}

/// A whole page.
#[derive(Debug)]
pub(super) struct Page {
    /// Its title, which is its first heading too.
    pub title: String,
    /// Whether a browser asks for it again from time to time.
    pub is_live: bool,
    /// Where it links to instead: itself, live or still.
    pub other: Option<(String, &'static str)>,
    /// What is on it.
    pub content: Html,
}

/// What every page looks like.
pub(super) const STYLE: &str = include_str!("style.css");

/// So often a browser asks for a page again, in seconds.
const REFRESH: &str = "15";

impl Page {
    /// The document.
    pub fn document(self) -> String {
        let mut head = vec![
            lone("meta", &[("charset", "utf-8")]),
            lone("meta", &[("name", "viewport"), ("content", "width=device-width")]),
            lone("meta", &[("name", "color-scheme"), ("content", "light dark")]),
        ];
        if self.is_live {
            head.push(lone("meta", &[("http-equiv", "refresh"), ("content", REFRESH)]));
        }
        head.push(words("title", format!("{} · iamlua schedule", self.title)));
        head.push(element("style", &[], [Html(STYLE.to_owned())]));
        let mut way = vec![link("/", "iamlua schedule")];
        way.extend(self.other.map(|(address, title)| link(&address, title)));
        let body = [
            element("header", &[], [element("nav", &[("aria-label", "Pages")], way)]),
            element("main", &[], [words("h1", &self.title), self.content]),
            element("footer", &[], [words("p", concat!("iamlua ", env!("CARGO_PKG_VERSION")))]),
        ];
        let page = element(
            "html",
            &[("lang", "en")],
            [element("head", &[], head), element("body", &[], body)],
        );
        format!("<!DOCTYPE html>\n{}\n", page.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{element, text};

    #[test]
    fn what_is_not_trusted_stays_text() {
        let evil = "<script>alert('x')</script>&amp;\u{202e}\u{1b}[2J\nline\ttab\0";
        assert_eq!(
            text(evil).0,
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;\\u{202e}\\x1b[2J\nline\ttab\\x00"
        );
        let html = element("a", &[("href", "\" onclick=\"x")], [text("<")]);
        assert_eq!(html.0, "<a href=\"&quot; onclick=&quot;x\">&lt;</a>");
    }
}
