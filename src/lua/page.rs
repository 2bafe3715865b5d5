//! HTML pages of reports: `report.page` of the standard library, which has checked the arguments.

use mlua::{Lua, LuaString, Table};

use super::budget::MemoryBudget;
use crate::ui::html::{self, Column, Html, HtmlPage, all, element, table, text, text_element};

/// Section of a page.
struct Section {
    title: String,
    quota: Option<(u64, u64, String)>,
    table: Option<PageTable>,
}

/// Table of a section.
struct PageTable {
    titles: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<LuaString>>,
    /// Lengths of bars, from 0 to 1, by the number of their column.
    shares: Vec<Table>,
}

impl Section {
    fn from_lua(given: &Table) -> mlua::Result<Self> {
        let quota = given.get::<Option<Table>>("quota")?;
        let table = given.get::<Option<Table>>("table")?;
        Ok(Self {
            title: lossy(&given.get("title")?),
            quota: quota.as_ref().map(quota_from_lua).transpose()?,
            table: table.as_ref().map(PageTable::from_lua).transpose()?,
        })
    }

    /// Approximate memory of its HTML.
    fn bytes(&self) -> usize {
        /// Tags of a cell, with its bar.
        const CELL_BYTES: usize = 400;
        let Some(table) = &self.table else { return CELL_BYTES };
        let titles: usize = table.titles.iter().map(String::len).sum();
        let cells = table.rows.iter().flatten();
        let cells = cells.map(|cell| CELL_BYTES + escaped_bytes(cell.as_bytes().len()));
        cells.sum::<usize>() + table.rows.len().saturating_mul(titles)
    }

    fn html(&self) -> mlua::Result<Html> {
        let mut content = vec![text_element("h2", &self.title)];
        if let Some((used, total, unit)) = &self.quota {
            content.push(html::quota(*used, *total, unit));
        }
        if let Some(table) = &self.table {
            content.push(table.html(&self.title)?);
        }
        Ok(all(content))
    }
}

fn quota_from_lua(given: &Table) -> mlua::Result<(u64, u64, String)> {
    Ok((given.get("used")?, given.get("total")?, lossy(&given.get("unit")?)))
}

impl PageTable {
    fn from_lua(given: &Table) -> mlua::Result<Self> {
        let titles: Vec<LuaString> = given.get("titles")?;
        Ok(Self {
            titles: titles.iter().map(lossy).collect(),
            right: given.get("right")?,
            rows: given.get("rows")?,
            shares: given.get("shares")?,
        })
    }

    fn html(&self, title: &str) -> mlua::Result<Html> {
        if self.rows.is_empty() {
            return Ok(text_element("p", "Nothing to report."));
        }
        let columns = self.titles.iter().enumerate();
        let columns = columns.map(|(at, title)| Column {
            title,
            is_right: self.right.get(at).copied().unwrap_or(false),
        });
        let columns: Vec<_> = columns.collect();
        let mut rows = Vec::with_capacity(self.rows.len());
        for (row, shares) in self.rows.iter().zip(&self.shares) {
            let cells = row.iter().enumerate().map(|(at, cell)| {
                let share: Option<f64> = shares.get(at + 1)?;
                let cell = text(lossy(cell));
                Ok(match share {
                    Some(share) => element(
                        "span",
                        &[("class", "barred")],
                        [element("span", &[("class", "count")], [cell]), html::bar(share)],
                    ),
                    None => cell,
                })
            });
            rows.push(cells.collect::<mlua::Result<Vec<_>>>()?);
        }
        Ok(table(title, &columns, rows))
    }
}

fn lossy(text: &LuaString) -> String {
    text.to_string_lossy()
}

/// Upper bound on the bytes of an escaped text: `\u{e0fff}` for a character.
const fn escaped_bytes(bytes: usize) -> usize {
    bytes.saturating_mul(9)
}

/// Document of a page: title, paragraphs, sections, and the time of the report.
pub(super) fn document(
    lua: &Lua,
    (title, notes, sections, at): (LuaString, Vec<LuaString>, Vec<Table>, String),
) -> mlua::Result<LuaString> {
    let sections: Vec<_> = sections.iter().map(Section::from_lua).collect::<mlua::Result<_>>()?;
    let notes_bytes = notes.iter().map(|note| escaped_bytes(note.as_bytes().len()));
    let bytes = notes_bytes.chain(sections.iter().map(Section::bytes)).sum();
    MemoryBudget::check(lua, bytes).map_err(mlua::Error::external)?;
    let mut content: Vec<_> = notes.iter().map(|note| text_element("p", lossy(note))).collect();
    for section in &sections {
        content.push(section.html()?);
    }
    lua.create_string(framed(&title, all(content), &at))
}

/// Document of a page with that content.
fn framed(title: &LuaString, content: Html, at: &str) -> String {
    let page = HtmlPage {
        heading: lossy(title),
        source: "iamlua",
        is_file: true,
        content,
        footer: format!("Created {at} by iamlua {}", env!("CARGO_PKG_VERSION")),
        ..HtmlPage::default()
    };
    page.document()
}

/// Document of a page whose content is markup: title, markup, and the time.
pub(super) fn framed_markup(
    lua: &Lua,
    (title, markup, at): (LuaString, LuaString, String),
) -> mlua::Result<LuaString> {
    let bytes = escaped_bytes(title.as_bytes().len()) + 3 * markup.as_bytes().len();
    MemoryBudget::check(lua, bytes).map_err(mlua::Error::external)?;
    lua.create_string(framed(&title, Html::trusted(lossy(&markup)), &at))
}

/// Escaped text, whose control characters are visible.
pub(super) fn escape(lua: &Lua, given: &LuaString) -> mlua::Result<LuaString> {
    let bytes = given.as_bytes().len();
    MemoryBudget::check(lua, bytes + escaped_bytes(bytes)).map_err(mlua::Error::external)?;
    lua.create_string(text(lossy(given)).into_markup())
}
