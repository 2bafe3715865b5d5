//! Check of the links of a site.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use mdbook_driver::errors::{Error, Result};

use crate::normal;

/// Targets and links of one page.
#[derive(Default)]
struct Page {
    ids: BTreeSet<String>,
    links: Vec<String>,
}

/// Reader of one page.
#[derive(Default)]
struct Reader(RefCell<Page>);

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        if let Token::TagToken(tag) = token {
            let mut page = self.0.borrow_mut();
            for attribute in tag.attrs {
                match &*attribute.name.local {
                    "id" => _ = page.ids.insert(attribute.value.to_string()),
                    "href" | "src" => page.links.push(attribute.value.to_string()),
                    _ => {}
                }
            }
        }
        TokenSinkResult::Continue
    }
}

/// Follows every link within a site, and returns their number, or an error that lists those that
/// lead nowhere.
pub fn check(site: &Path) -> Result<usize> {
    let mut pages = BTreeMap::new();
    read(site, Path::new(""), &mut pages)?;
    // Its links begin at the root of the server, wherever that is.
    pages.remove(Path::new("404.html"));
    let mut checked = 0;
    let mut broken = Vec::new();
    for (path, page) in &pages {
        for link in &page.links {
            if link.contains(':') || link.starts_with("//") {
                continue;
            }
            checked += 1;
            let (file, id) = link.split_once('#').unwrap_or((link, ""));
            let file = file.split('?').next().unwrap_or_default();
            let target = match file {
                "" => path.clone(),
                _ => normal(&path.parent().expect("a folder").join(file)),
            };
            let leads = match pages.get(&target) {
                Some(page) => id.is_empty() || page.ids.contains(id),
                None => id.is_empty() && site.join(&target).is_file(),
            };
            if !leads {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    if broken.is_empty() {
        return Ok(checked);
    }
    Err(Error::msg(format!("links that lead nowhere:\n  {}", broken.join("\n  "))))
}

/// Reads the pages below a folder.
fn read(site: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> Result<()> {
    for entry in fs::read_dir(site.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read(site, &name, pages)?;
        } else if name.extension().is_some_and(|end| end == "html") {
            let input = BufferQueue::default();
            input.push_back(StrTendril::from(fs::read_to_string(entry.path())?));
            let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
            let _ = tokenizer.feed(&input);
            tokenizer.end();
            pages.insert(name, tokenizer.sink.0.into_inner());
        }
    }
    Ok(())
}
