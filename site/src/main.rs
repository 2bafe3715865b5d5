//! The documentation site, built by mdBook into `target/site`, with every link checked.
//!
//! The chapters are those that `docs/README.md` lists, in its order and under its headings. Links
//! work as they do in the repository: other files that a page links to are copied to the same
//! place on the site.

mod links;

/// Page of a folder, in the repository and in the staged copy.
const README: &str = "README.md";
const INDEX: &str = "index.md";

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use mdbook_driver::MDBook;
use mdbook_driver::config::Config;
use mdbook_driver::errors::{Error, Result};
use mdbook_summary::{Link, Summary, SummaryItem};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the site.
fn build() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let (source, site) = (target.join("site-source"), target.join("site"));

    let index = fs::read_to_string(root.join("docs/README.md"))?;
    let chapters = chapters(&index);
    let pages = chapters.iter().filter_map(|chapter| chapter.page.clone()).collect();
    every_page_is_listed(&root.join("docs"), Path::new("docs"), &pages)?;
    stage(root, &source, &pages)?;

    let mut config = Config::from_disk(root.join("site/book.toml"))?;
    config.book.src = PathBuf::from(".");
    config.build.build_dir.clone_from(&site);
    MDBook::load_with_config_and_summary(&source, config, summary(&chapters))?.build()?;

    let checked = links::check(&site)?;
    println!("{}: {} pages, {checked} links", site.join("index.html").display(), pages.len());
    Ok(())
}

/// Part or chapter of the site.
struct Chapter {
    title: String,
    /// Path in the repository. A part has none.
    page: Option<PathBuf>,
}

/// The README, the index, and what the index lists below each heading.
fn chapters(index: &str) -> Vec<Chapter> {
    let chapter =
        |title: &str, page: &str| Chapter { title: title.into(), page: Some(page.into()) };
    let mut chapters = vec![chapter("iamlua", README), chapter("Documentation", "docs/README.md")];
    let mut title = String::new();
    let mut page = None;
    let mut is_first_of_item = false;
    for event in Parser::new(index) {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }) => title.clear(),
            Event::End(TagEnd::Heading(HeadingLevel::H2)) => {
                chapters.push(Chapter { title: std::mem::take(&mut title), page: None });
            }
            Event::Start(Tag::Item) => is_first_of_item = true,
            Event::Start(Tag::Link { dest_url, .. }) if is_first_of_item => {
                is_first_of_item = false;
                title.clear();
                page = Some(normal(&Path::new("docs").join(&*dest_url)));
            }
            Event::End(TagEnd::Link) if page.is_some() => {
                chapters.push(Chapter { title: std::mem::take(&mut title), page: page.take() });
            }
            Event::Text(piece) | Event::Code(piece) => title.push_str(&piece),
            _ => {}
        }
    }
    chapters
}

/// Table of contents of mdBook.
fn summary(chapters: &[Chapter]) -> Summary {
    let mut summary = Summary::default();
    for Chapter { title, page } in chapters {
        match page {
            Some(page) => {
                let link = SummaryItem::Link(Link::new(title, staged(page)));
                summary.numbered_chapters.push(link);
            }
            None => summary.numbered_chapters.push(SummaryItem::PartTitle(title.clone())),
        }
    }
    summary
}

/// An error if a Markdown file of the documentation is in no list.
fn every_page_is_listed(folder: &Path, name: &Path, pages: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = name.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            every_page_is_listed(&entry.path(), &name, pages)?;
        } else if name.extension().is_some_and(|end| end == "md") && !pages.contains(&name) {
            return Err(Error::msg(format!("docs/README.md does not list {}", name.display())));
        }
    }
    Ok(())
}

/// Copies the pages, and the files that they link to, into an empty folder.
fn stage(root: &Path, source: &Path, pages: &BTreeSet<PathBuf>) -> Result<()> {
    if source.exists() {
        fs::remove_dir_all(source)?;
    }
    for page in pages {
        let mut text = fs::read_to_string(root.join(page))
            .map_err(|error| Error::msg(format!("{}: {error}", page.display())))?;
        let folder = page.parent().expect("a folder");
        let mut indexes = Vec::new();
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event
            else {
                continue;
            };
            let file = dest_url.split('#').next().unwrap_or_default();
            if dest_url.contains(':') {
                continue;
            }
            if file.ends_with(README) {
                let at = text[range.clone()].rfind(README).expect("the name in the link");
                indexes.push(range.start + at);
            }
            let file = normal(&folder.join(file));
            // A page that is no chapter stays a broken link.
            if root.join(&file).is_file() && file.extension().is_none_or(|end| end != "md") {
                let to = source.join(&file);
                fs::create_dir_all(to.parent().expect("a folder"))?;
                fs::copy(root.join(&file), to)?;
            }
        }
        for at in indexes.into_iter().rev() {
            text.replace_range(at..at + README.len(), INDEX);
        }
        let to = source.join(staged(page));
        fs::create_dir_all(to.parent().expect("a folder"))?;
        fs::write(to, text)?;
    }
    Ok(())
}

/// Place of a page in the staged copy.
fn staged(page: &Path) -> PathBuf {
    if page.ends_with(README) { page.with_file_name(INDEX) } else { page.to_owned() }
}

/// Path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}
