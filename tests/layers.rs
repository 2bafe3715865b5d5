//! Layers of the library: the map in `src/lib.rs` is held against the imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Layer of each module, by the table in `src/lib.rs`.
fn layers() -> BTreeMap<String, u32> {
    let text = fs::read_to_string("src/lib.rs").expect("it is there");
    let mut layers = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, layer, modules, ..] = &cells[..] else { continue };
        let Ok(layer) = layer.parse() else { continue };
        for module in modules.split(',') {
            layers.insert(module.trim().trim_matches('`').to_owned(), layer);
        }
    }
    layers
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The module of a file right below `src`.
fn module_of(path: &Path) -> String {
    let below = path.strip_prefix("src").expect("below src").components().next();
    let name = below.expect("a name").as_os_str().to_string_lossy().into_owned();
    name.trim_end_matches(".rs").to_owned()
}

/// The modules of the library that a source names, without those that only its tests name.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join(" ");
    let mut names = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '}' if depth == 0 => break,
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.insert(std::mem::take(&mut name));
                        continue;
                    }
                    _ => {}
                }
                name.push(c);
            }
            names.insert(name);
        } else {
            names.insert(part.to_owned());
        }
    }
    let is_name = |c: &char| c.is_ascii_lowercase() || *c == '_';
    names.iter().map(|name| name.trim().chars().take_while(is_name).collect()).collect()
}

#[test]
fn modules_import_only_from_the_layers_above_them_in_the_map() {
    let layers = layers();
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for path in files {
        let module = module_of(&path);
        // They name everything.
        if ["lib", "main", "fuzzing"].contains(&&*module) {
            continue;
        }
        let Some(own) = layers.get(&module) else {
            wrong.push(format!("{module} is not in the map"));
            continue;
        };
        seen.insert(module.clone());
        for import in imports(&fs::read_to_string(&path).expect("it is there")) {
            let is_below = layers.get(&import).is_some_and(|layer| layer >= own);
            if import != module && is_below {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mapped: BTreeSet<_> = layers.into_keys().collect();
    assert_eq!(mapped, seen, "the map has the modules that there are");
}
