//! HTML pages: the frame and the style of the status page and of reports, and their elements.
//! Text is added by one function, which escapes it, because names and output are untrusted.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::format::number;
use crate::escape::visible_but;

/// Fragment of a page.
#[derive(Clone, Debug, Default)]
pub struct Html(String);

impl Html {
    /// Markup that is already safe, such as an escaped fragment.
    #[must_use]
    pub const fn trusted(markup: String) -> Self {
        Self(markup)
    }

    /// Markup of the fragment.
    #[must_use]
    pub fn into_markup(self) -> String {
        self.0
    }
}

/// Escaped text. Control and bidirectional characters are made visible, except line feeds and tabs.
#[must_use]
pub fn text(text: impl AsRef<str>) -> Html {
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
#[must_use]
pub fn element(
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
#[must_use]
pub fn void_element(name: &'static str, attributes: &[(&'static str, &str)]) -> Html {
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
#[must_use]
pub fn all(pieces: impl IntoIterator<Item = Html>) -> Html {
    Html(pieces.into_iter().map(|piece| piece.0).collect())
}

/// Element with text.
#[must_use]
pub fn text_element(name: &'static str, content: impl AsRef<str>) -> Html {
    element(name, &[], [text(content)])
}

/// Link.
#[must_use]
pub fn link(address: &str, content: impl AsRef<str>) -> Html {
    element("a", &[("href", address)], [text(content)])
}

/// Text for screen readers alone.
#[must_use]
pub fn spoken(content: impl AsRef<str>) -> Html {
    element("span", &[("class", "spoken")], [text(content)])
}

/// Preformatted text of any length. It scrolls, and therefore takes the focus; `label` names it.
#[must_use]
pub fn long_text(label: &str, content: impl AsRef<str>) -> Html {
    let attributes = [("class", "long"), ("tabindex", "0"), ("role", "region")];
    let label = [("aria-label", label)];
    let attributes: Vec<_> = attributes.into_iter().chain(label).collect();
    element("pre", &attributes, [text(content)])
}

/// Column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Title.
    pub title: &'a str,
    /// Alignment at the right.
    pub is_right: bool,
}

impl<'a> Column<'a> {
    /// Column of texts.
    #[must_use]
    pub const fn text(title: &'a str) -> Self {
        Self { title, is_right: false }
    }

    /// Column of numbers.
    #[must_use]
    pub const fn number(title: &'a str) -> Self {
        Self { title, is_right: true }
    }
}

/// Table with a row header. On narrow screens its style sheet shows each row as a list; therefore
/// roles and column titles are repeated.
#[must_use]
pub fn table(caption: &str, columns: &[Column<'_>], rows: Vec<Vec<Html>>) -> Html {
    let class = |column: &Column<'_>| if column.is_right { "number" } else { "text" };
    let head = columns.iter().map(|column| {
        let attributes = [("scope", "col"), ("role", "columnheader"), ("class", class(column))];
        element("th", &attributes, [text(column.title)])
    });
    let head = element("tr", &[("role", "row")], head);
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().zip(columns).enumerate().map(|(at, (content, column))| {
            let content = [element("div", &[], [content])];
            if at == 0 {
                element("th", &[("scope", "row"), ("role", "rowheader")], content)
            } else {
                let attributes =
                    [("role", "cell"), ("class", class(column)), ("data-title", column.title)];
                element("td", &attributes, content)
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
#[must_use]
pub fn facts(facts: impl IntoIterator<Item = (&'static str, Html)>) -> Html {
    let facts = facts.into_iter().map(|(name, fact)| {
        element("div", &[], [text_element("dt", name), element("dd", &[], [fact])])
    });
    element("dl", &[], facts)
}

/// Length of a bar in its own coordinates.
const BAR: u64 = 1000;

/// Part of a bar, which starts at its left end.
fn bar_part(class: &'static str, length: u64) -> Html {
    let length = length.to_string();
    element("rect", &[("class", class), ("width", &length), ("height", "10")], [])
}

/// Bar without text: an image, because styles of single elements are forbidden on these pages.
fn bar_image(class: &'static str, parts: impl IntoIterator<Item = Html>) -> Html {
    let attributes = [
        ("class", class),
        ("viewBox", "0 0 1000 10"),
        ("preserveAspectRatio", "none"),
        ("aria-hidden", "true"),
    ];
    element("svg", &attributes, parts)
}

/// Bar beside a number. A share above zero is always visible.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub fn bar(share: f64) -> Html {
    let length = (share.clamp(0.0, 1.0) * BAR as f64).round() as u64;
    let length = if share > 0.0 { length.max(4) } else { 0 };
    bar_image("bar", [bar_part("used", length)])
}

/// Use of a quota: a sentence, one bar with the used and the free part, and its legend, which says
/// the same in numbers. From 90 % on the used part has the colour of failures.
#[must_use]
pub fn quota(used: u64, total: u64, unit: &str) -> Html {
    let free = total.saturating_sub(used);
    let permille = |part: u64| part.saturating_mul(BAR).checked_div(total).unwrap_or(BAR);
    let is_high = permille(used) >= BAR / 10 * 9;
    let class = if is_high { "used high" } else { "used" };
    let length = permille(used).min(BAR).max(u64::from(used > 0) * 4);
    let legend = |class: &'static str, part: u64, name: &str| {
        let share = permille(part);
        let share = format!("{}.{} %", number(share / 10), share % 10);
        let swatch = element("span", &[("class", class), ("aria-hidden", "true")], []);
        element("li", &[], [swatch, text(format!("{} {name} ({share})", number(part)))])
    };
    let swatch = if is_high { "swatch used high" } else { "swatch used" };
    all([
        text_element("p", format!("{} of {} {unit} are used.", number(used), number(total))),
        bar_image("quota", [bar_part("free", BAR), bar_part(class, length)]),
        element(
            "ul",
            &[("class", "legend")],
            [legend(swatch, used, "used"), legend("swatch free", free, "free")],
        ),
    ])
}

/// Whole page.
#[derive(Debug, Default)]
pub struct HtmlPage {
    /// First heading.
    pub heading: String,
    /// Title of the document, if it is not the heading.
    pub title: Option<String>,
    /// Source of the page, such as `iamlua schedule`.
    pub source: &'static str,
    /// Links to other pages.
    pub links: Vec<Html>,
    /// Set if the browser reloads the page periodically.
    pub is_live: bool,
    /// Set for a page in a file, which carries its own content security policy.
    pub is_file: bool,
    /// Content below the heading.
    pub content: Html,
    /// Last line.
    pub footer: String,
}

/// Style sheet of every page.
const STYLE: &str = include_str!("page.css");

/// Interval of reloads, in seconds.
const REFRESH: &str = "15";

/// Content security policy: only the page and its own style.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
});

impl HtmlPage {
    /// HTML document.
    #[must_use]
    pub fn document(self) -> String {
        let mut head = vec![
            void_element("meta", &[("charset", "utf-8")]),
            void_element(
                "meta",
                &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")],
            ),
            void_element("meta", &[("name", "color-scheme"), ("content", "light dark")]),
        ];
        if self.is_file {
            let policy = [("http-equiv", "Content-Security-Policy"), ("content", &**POLICY)];
            head.push(void_element("meta", &policy));
        }
        if self.is_live {
            head.push(void_element("meta", &[("http-equiv", "refresh"), ("content", REFRESH)]));
        }
        let title = self.title.as_ref().unwrap_or(&self.heading);
        head.push(text_element("title", format!("{title} · {}", self.source)));
        head.push(element("style", &[], [Html(STYLE.to_owned())]));
        let skip = element("a", &[("class", "skip"), ("href", "#main")], [text("Skip to content")]);
        let top = if self.links.is_empty() {
            text_element("p", self.source)
        } else {
            element("nav", &[("aria-label", "Pages")], self.links)
        };
        let body = [
            skip,
            element("header", &[], [top]),
            element(
                "main",
                &[("id", "main"), ("tabindex", "-1")],
                [text_element("h1", &self.heading), self.content],
            ),
            element("footer", &[], [text_element("p", &self.footer)]),
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
    use super::{HtmlPage, bar, element, quota, text};

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

    #[test]
    fn a_bar_says_in_text_what_it_draws() {
        let html = quota(950, 1000, "instance profiles").0;
        for wanted in [
            "950 of 1,000 instance profiles are used.",
            "950 used (95.0 %)",
            "50 free (5.0 %)",
            "class=\"used high\" width=\"950\"",
        ] {
            assert!(html.contains(wanted), "{wanted}\n{html}");
        }
        let html = quota(1, 5000, "profiles").0;
        assert!(html.contains("class=\"used\" width=\"4\""), "it is visible: {html}");
        // A quota can be below the use, and zero.
        let html = quota(12, 10, "profiles").0;
        assert!(html.contains("width=\"1000\"") && html.contains("0 free (0.0 %)"), "{html}");
        assert!(quota(0, 0, "profiles").0.contains("0 of 0 profiles are used."));
        for (share, width) in [(0.0, 0), (0.0001, 4), (0.5, 500), (7.0, 1000), (f64::NAN, 0)] {
            let html = bar(share).0;
            assert!(html.contains(&format!("width=\"{width}\"")), "{share}: {html}");
        }
    }

    #[test]
    fn a_page_in_a_file_carries_its_policy() {
        let page = |is_file| HtmlPage { is_file, ..HtmlPage::default() }.document();
        assert!(
            page(true).contains("content=\"default-src &#39;none&#39;; style-src &#39;sha256-")
        );
        assert!(!page(false).contains("default-src"));
    }
}
