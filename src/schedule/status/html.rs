//! HTML builder. Text is added by one function, which escapes it, because names of jobs and their
//! output are untrusted.

use crate::escape::visible_but;

/// Fragment of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

/// Escaped text. Control and bidirectional characters are made visible, except line feeds and tabs.
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

/// Element with attributes.
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

/// Element without content, such as `meta`.
pub(super) fn void_element(name: &'static str, attributes: &[(&'static str, &str)]) -> Html {
    Html(open(name, attributes))
}

fn open(name: &'static str, attributes: &[(&'static str, &str)]) -> String {
    let mut html = format!("<{name}");
    for (name, value) in attributes {
        html.extend([" ", name, "=\"", &text(value).0, "\""]);
    }
    html + ">"
}

/// Concatenation of fragments.
pub(super) fn all(pieces: impl IntoIterator<Item = Html>) -> Html {
    Html(pieces.into_iter().map(|piece| piece.0).collect())
}

/// Element with text.
pub(super) fn text_element(name: &'static str, content: impl AsRef<str>) -> Html {
    element(name, &[], [text(content)])
}

/// Link.
pub(super) fn link(address: &str, content: impl AsRef<str>) -> Html {
    element("a", &[("href", address)], [text(content)])
}

/// Table with a row header. On narrow screens its style sheet shows each row as a list; therefore
/// roles and column titles are repeated.
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
            text_element("caption", caption),
            element("thead", &[("role", "rowgroup")], [head]),
            element("tbody", &[("role", "rowgroup")], rows),
        ],
    )
}

/// Description list.
pub(super) fn facts(facts: impl IntoIterator<Item = (&'static str, Html)>) -> Html {
    let facts = facts.into_iter().map(|(name, fact)| {
        element("div", &[], [text_element("dt", name), element("dd", &[], [fact])])
    });
    element("dl", &[], facts)
}

/// Whole page.
#[derive(Debug)]
pub(super) struct HtmlPage {
    /// Title, and first heading.
    pub title: String,
    /// Set if the browser reloads the page periodically.
    pub is_live: bool,
    /// Link to the live or the still version of the page.
    pub other: Option<(String, &'static str)>,
    /// Content below the heading.
    pub content: Html,
}

/// Style sheet of every page.
pub(super) const STYLE: &str = include_str!("style.css");

/// Interval of reloads, in seconds.
const REFRESH: &str = "15";

impl HtmlPage {
    /// HTML document.
    pub fn document(self) -> String {
        let mut head = vec![
            void_element("meta", &[("charset", "utf-8")]),
            void_element("meta", &[("name", "viewport"), ("content", "width=device-width")]),
            void_element("meta", &[("name", "color-scheme"), ("content", "light dark")]),
        ];
        if self.is_live {
            head.push(void_element("meta", &[("http-equiv", "refresh"), ("content", REFRESH)]));
        }
        head.push(text_element("title", format!("{} · iamlua schedule", self.title)));
        head.push(element("style", &[], [Html(STYLE.to_owned())]));
        let mut way = vec![link("/", "iamlua schedule")];
        way.extend(self.other.map(|(address, title)| link(&address, title)));
        let body = [
            element("header", &[], [element("nav", &[("aria-label", "Pages")], way)]),
            element("main", &[], [text_element("h1", &self.title), self.content]),
            element(
                "footer",
                &[],
                [text_element("p", concat!("iamlua ", env!("CARGO_PKG_VERSION")))],
            ),
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
