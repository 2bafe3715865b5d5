//! Names that a script finds: those of a VM, and their documentation.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use crate::aws::client::{Backend, Connection, OpenLocal};
use crate::clock::Clock;
use crate::docs::{self, Item, ItemKind};
use crate::error::{Error, Kind, Result};
use crate::files::read_set::ReadSet;
use crate::lua::arguments::Arguments;
use crate::lua::cancel::Canceller;
use crate::lua::sandbox::Permissions;
use crate::lua::{Format, Output, Show, Vm, VmConfig};
use crate::session::{Gate, Mode, Session};

/// Prints the globals, their fields, and the fields of those, each with its type.
const WALK: &str = r#"
local seen = { [_G] = true, [package.loaded] = true, [arg] = true }
local function walk(prefix, t)
  for name, value in pairs(t) do
    print(prefix .. tostring(name), type(value))
    if type(value) == "table" and not seen[value] then
      seen[value] = true
      walk(prefix .. name .. ".", value)
    end
  end
end
walk("", _G)
print("package.path", package.path)
"#;
/// Name of the line with the templates of `package.path`.
const PATH: &str = "package.path";

/// Memory limit of the VM that tells the names.
const MAX_MEMORY: usize = 256 << 20;

/// Names and what is known of them.
pub(super) struct Names {
    /// Names of a script, such as `string.format`, and whether they are tables.
    found: BTreeMap<String, bool>,
    /// Names that only tests find.
    of_tests: BTreeMap<String, bool>,
    /// Templates of the paths of modules.
    pub templates: Vec<String>,
    /// Functions of plain Lua that always raise an error, because the sandbox forbids them.
    unavailable: Vec<String>,
    items: HashMap<&'static str, &'static Item>,
}

static NAMES: LazyLock<std::result::Result<Names, Error>> = LazyLock::new(Names::read);

/// Names that a script finds.
///
/// # Errors
/// If no VM can be made.
pub(super) fn names() -> Result<&'static Names> {
    NAMES.as_ref().map_err(Error::copied)
}

/// Output that is kept.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Names {
    fn read() -> Result<Self> {
        let text = walk()?;
        let pairs = || text.lines().filter_map(|line| line.split_once('\t'));
        let path = pairs().rfind(|(name, _)| *name == PATH);
        let templates = path.map_or("", |(_, templates)| templates).split(';');
        let templates = templates.map(str::to_owned).collect();
        let found: BTreeMap<_, _> =
            pairs().map(|(name, ty)| (name.to_owned(), ty == "table")).collect();
        let items: HashMap<_, _> =
            docs::items().iter().map(|item| (item.name.as_str(), item)).collect();
        let is_named = |item: &&Item| {
            item.module == "testing"
                && item.name != "testing"
                && matches!(item.kind, ItemKind::Function | ItemKind::Module | ItemKind::Value)
                && !item.is_method()
        };
        let of_tests = docs::items().iter().filter(is_named);
        let of_tests =
            of_tests.map(|item| (item.name.clone(), item.kind == ItemKind::Module)).collect();
        Ok(Self { found, of_tests, templates, unavailable: unavailable(), items })
    }

    /// Name as it is kept here, if a script finds it.
    pub fn find(&self, name: &str, is_test: bool) -> Option<&str> {
        let own = self.found.get_key_value(name);
        let own = own.or_else(|| self.of_tests.get_key_value(name).filter(|_| is_test));
        own.map(|(name, _)| name.as_str())
    }

    /// Check for a name that only tests find.
    pub fn is_of_tests(&self, name: &str) -> bool {
        self.of_tests.contains_key(name)
    }

    /// Check for a function that always raises an error, because the sandbox forbids it.
    pub fn is_unavailable(&self, name: &str) -> bool {
        self.unavailable.iter().any(|one| one == name)
    }

    /// Check for a table whose fields are known.
    pub fn is_table(&self, name: &str) -> bool {
        // Scripts change what these have.
        name != "_G"
            && name != "arg"
            && !name.starts_with("package.")
            && (self.found.get(name) == Some(&true) || self.of_tests.get(name) == Some(&true))
    }

    /// Check for a module that `require` finds without a file.
    pub fn is_module(&self, name: &str) -> bool {
        !name.contains('.') && (self.is_table(name) || self.item(name).is_some_and(is_own_module))
    }

    /// Names of the fields of a table, or of the globals for `""`.
    pub fn fields(&self, table: &str, is_test: bool) -> Vec<&str> {
        let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
        let maps = [Some(&self.found), Some(&self.of_tests).filter(|_| is_test)];
        let names = maps.into_iter().flatten().flat_map(BTreeMap::keys);
        let fields = names.filter_map(|name| name.strip_prefix(prefix.as_str()));
        fields.filter(|name| !name.contains('.')).collect()
    }

    /// Documentation of a name.
    pub fn item(&self, name: &str) -> Option<&'static Item> {
        self.items.get(name).copied()
    }
}

/// Check for a module of iamlua; `try` is one that is a function.
fn is_own_module(item: &Item) -> bool {
    item.name == item.module && item.name != "lua" && item.name != "testing"
}

/// Functions that are not available, by their own documentation or by that of the globals.
fn unavailable() -> Vec<String> {
    let own = docs::items().iter().filter(|item| item.summary.starts_with("Not available"));
    let mut names: Vec<_> = own.map(|item| item.name.clone()).collect();
    let text = docs::item("lua").map_or("", |item| item.text.as_str());
    let listed = text.split_once("Not available:").map_or("", |(_, rest)| rest);
    let words = listed.split('`').skip(1).step_by(2);
    // A word alone, such as `debug`, is a table of which only a part is not available.
    names.extend(
        words
            .filter(|word| docs::item(word).is_none_or(|item| item.kind == ItemKind::Function))
            .map(str::to_owned),
    );
    names
}

/// Output of [`WALK`] in a VM without an account.
fn walk() -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::io("cannot start a runtime", error))?;
    let _entered = runtime.enter();
    let nowhere: OpenLocal =
        Arc::new(|| Err(Error::new(Kind::Refused, "there is no account here")));
    let connection = Connection { target: Backend::Local(nowhere), ..Connection::default() };
    let setup = VmConfig {
        gate: Gate::new(Session::new(Mode::ReadOnly), connection),
        runtime: runtime.handle().clone(),
        canceller: Canceller::default(),
        script: String::new(),
        folder: None,
        args: Arguments::default(),
        permissions: Permissions::default(),
        max_memory: MAX_MEMORY,
        format: Format::Table,
        show: Show::Nothing,
        width: None,
        reserved: Vec::new(),
        log_level: "error",
        confirm: Box::new(|_| None),
        clock: Clock::Real,
        has_input: false,
        seen: ReadSet::default(),
        log: Some(Box::new(|_, _, _| {})),
    };
    let kept = Kept::default();
    let output = Output::new(Box::new(kept.clone()), Box::new(std::io::sink()));
    let vm = Vm::new(setup, output)?;
    vm.run(WALK.as_bytes(), "names")?;
    drop(vm);
    let text = kept.0.take();
    String::from_utf8(text).map_err(|error| Error::new(Kind::Bug, error.to_string()))
}
