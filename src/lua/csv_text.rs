//! CSV of the standard library: rows of a text for `csv.decode`, and lines for `csv.encode` and
//! reports.

use std::rc::Rc;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use mlua::{Lua, LuaString, Table, Value as LuaValue};

use super::budget::{MemoryBudget, Walk};
use super::host::{Host, add, internal};
use crate::error::{Error, Result};

/// Maximum number of fields in a row, as in spreadsheets.
const MAX_FIELDS: usize = 16_384;
/// Byte-order mark of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Registers the host functions.
pub(super) fn functions(
    lua: &Lua,
    host: &Rc<Host>,
    table: &Table,
    fallible: &Table,
) -> mlua::Result<()> {
    add(lua, host, fallible, "csv_decode", |lua, _, args| {
        let Some(LuaValue::String(text)) = args.front() else {
            let got = args.front().map_or("nil", LuaValue::type_name);
            let problem = format!("csv.decode: the text must be a string, got {got}");
            return Err(Error::argument(problem));
        };
        let has_header = args.get(1) == Some(&LuaValue::Boolean(true));
        let separator = args.get(2).and_then(LuaValue::as_string).map(|text| text.as_bytes()[0]);
        let takes = if !has_header {
            Takes::Rows
        } else if args.get(3) == Some(&LuaValue::Boolean(true)) {
            Takes::Heading
        } else {
            Takes::NamedRows
        };
        let decoded = decode(lua, &text.as_bytes(), takes, separator.unwrap_or(b','));
        decoded.map(LuaValue::Table).map_err(|mut error| {
            if error.kind == crate::error::Kind::Argument {
                let name = if takes == Takes::Heading { "columns" } else { "decode" };
                error.message = format!("csv.{name}: {}", error.message);
            }
            error
        })
    })?;
    let line = lua.create_function(|lua, (cells, separator): (Vec<LuaString>, Option<u8>)| {
        let bytes: usize = cells.iter().map(|cell| 3 * cell.as_bytes().len()).sum();
        MemoryBudget::check(lua, bytes).map_err(mlua::Error::external)?;
        let mut writer =
            csv::WriterBuilder::new().delimiter(separator.unwrap_or(b',')).from_writer(Vec::new());
        writer
            .write_record(cells.iter().map(|cell| cell.as_bytes().to_vec()))
            .map_err(mlua::Error::external)?;
        lua.create_string(writer.into_inner().map_err(mlua::Error::external)?)
    })?;
    table.set("csv_line", line)
}

/// Part of a text that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Rows as arrays.
    Rows,
    /// Rows by the names of the columns.
    NamedRows,
    /// Names of the columns alone.
    Heading,
}

/// Reader of the records of a text.
///
/// Behind the text a short record of its own follows. It is found as such unless the text ends in
/// a quoted field, which the parser alone would not report.
struct Records<'t> {
    lua: &'t Lua,
    parser: Reader,
    text: &'t [u8],
    /// Unread rest of the text, or of the closing record.
    rest: &'t [u8],
    closing: Option<&'static [u8]>,
    /// Fields of the current record, and where each of them ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// Number of fields of the current record.
    count: usize,
    /// Offset in the text of the current record, or of the line breaks before it.
    start: usize,
}

impl<'t> Records<'t> {
    fn new(lua: &'t Lua, text: &'t [u8], separator: u8) -> Self {
        let closing: &[u8] = if separator == b'x' { b"\ny\n" } else { b"\nx\n" };
        Self {
            lua,
            parser: ReaderBuilder::new().delimiter(separator).build(),
            text,
            rest: text,
            closing: Some(closing),
            fields: vec![0; 1 << 12],
            ends: vec![0; 1 << 6],
            count: 0,
            start: 0,
        }
    }

    /// Reads the next record; false at the end of the text.
    fn advance(&mut self) -> Result<bool> {
        if self.closing.is_some() {
            self.start = self.text.len() - self.rest.len();
        }
        let (mut bytes, mut count) = (0, 0);
        loop {
            let (result, read, written, ended) = self.parser.read_record(
                self.rest,
                &mut self.fields[bytes..],
                &mut self.ends[count..],
            );
            self.rest = &self.rest[read..];
            bytes += written;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => match self.closing.take() {
                    Some(closing) => self.rest = closing,
                    None => return Err(self.error("a quoted field has no closing quote")),
                },
                ReadRecordResult::OutputFull => {
                    let size = (2 * self.fields.len()).min(self.text.len() + 4);
                    MemoryBudget::check(self.lua, size)?;
                    self.fields.resize(size, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() >= MAX_FIELDS => {
                    let problem = format!("there are more than {MAX_FIELDS} fields");
                    return Err(self.error(&problem));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record if self.closing.is_none() && self.rest.is_empty() => {
                    return Ok(false);
                }
                ReadRecordResult::Record => {
                    self.count = count;
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Fields of the current record.
    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ends = self.ends[..self.count].iter();
        starts.zip(ends).map(|(start, end)| &self.fields[start..*end])
    }

    /// Number of the line on which the current record begins.
    fn line(&self) -> usize {
        let mut start = self.start;
        while self.text.get(start).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            start += 1;
        }
        let before = &self.text[..start];
        let feeds = memchr::memchr_iter(b'\n', before).count();
        let is_lone = |at: &usize| before.get(at + 1) != Some(&b'\n');
        1 + feeds + memchr::memchr_iter(b'\r', before).filter(is_lone).count()
    }

    fn error(&self, problem: &str) -> Error {
        Error::argument(format!("line {}: {problem}", self.line()))
    }
}

/// Table with the `rows` of a text, and the `columns` of its heading.
fn decode(lua: &Lua, text: &[u8], takes: Takes, separator: u8) -> Result<Table> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err(Error::argument("the text is UTF-16").hint("save the file as UTF-8"));
    }
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let failed = |error: mlua::Error| internal(&error);
    let walk = Walk::new(lua);
    let mut records = Records::new(lua, text, separator);
    let decoded = lua.create_table().map_err(failed)?;
    let rows = lua.create_table().map_err(failed)?;
    let mut names = Vec::new();
    let mut width = None;
    let has_header = takes != Takes::Rows;
    if has_header && records.advance()? {
        names = heading(lua, &records)?;
        width = Some(names.len());
    }
    let columns = lua.create_sequence_from(names.iter()).map_err(failed)?;
    while takes != Takes::Heading && records.advance()? {
        walk.count(0)?;
        let width = *width.get_or_insert(records.count);
        if records.count != width {
            let first = if has_header { "the heading has" } else { "the first row has" };
            let count = counted(records.count, "field");
            return Err(records
                .error(&format!("it has {count}, but {first} {width}"))
                .hint("a field with a separator or a line break in it is written in quotes"));
        }
        let row = if has_header {
            let row = lua.create_table_with_capacity(0, width).map_err(failed)?;
            for (name, field) in names.iter().zip(records.fields()) {
                let field = lua.create_string(field).map_err(failed)?;
                row.raw_set(name, field).map_err(failed)?;
            }
            row
        } else {
            let row = lua.create_table_with_capacity(width, 0).map_err(failed)?;
            for field in records.fields() {
                row.raw_push(lua.create_string(field).map_err(failed)?).map_err(failed)?;
            }
            row
        };
        rows.raw_push(row).map_err(failed)?;
    }
    decoded.raw_set("rows", rows).map_err(failed)?;
    decoded.raw_set("columns", columns).map_err(failed)?;
    Ok(decoded)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Names of the columns, which are unique and not empty.
fn heading(lua: &Lua, records: &Records<'_>) -> Result<Vec<LuaString>> {
    let mut names = Vec::with_capacity(records.count);
    let mut seen = std::collections::HashMap::new();
    for (at, name) in records.fields().enumerate() {
        if name.is_empty() {
            return Err(records.error(&format!("column {} has no name", at + 1)));
        } else if let Some(earlier) = seen.insert(name, at) {
            let shown = crate::escape::visible(name);
            let (earlier, at) = (earlier + 1, at + 1);
            let problem = format!("columns {earlier} and {at} have the same name, {shown:?}");
            return Err(records.error(&problem));
        }
        names.push(lua.create_string(name).map_err(|error| internal(&error))?);
    }
    Ok(names)
}
