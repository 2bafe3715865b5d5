//! Walk through one script: what its names mean, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::findings::{Doubt, Draft, Rule};
use super::manifest::{self, Manifest};
use super::names::Names;
use super::syntax::{
    Block, Expr, ExprKind, Function, Item, Link, Name, Number, Operator, Span, Statement, Tree,
};
use super::types::{self, Shape};
use crate::docs::{self, ItemKind};
use crate::lua::mistakes;
use crate::spec::nearest;

/// Functions that keep nothing of their arguments.
const PURE: [&str; 10] = [
    "getmetatable",
    "inspect",
    "next",
    "pairs",
    "print",
    "rawequal",
    "rawget",
    "rawlen",
    "tostring",
    "type",
];
/// Metamethods of arithmetic.
const METAMETHODS: [&str; 12] = [
    "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__idiv", "__band", "__bor", "__bxor",
    "__shl", "__shr",
];
/// Mark of records that scripts change by keys that are not followed.
const RECORDS: &str = "(records)";

/// Facts about one file, and drafts of its findings.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub drafts: Vec<Draft>,
    /// Globals that it assigns.
    pub globals: BTreeSet<String>,
    /// Fields that it assigns, whatever their tables.
    pub fields: BTreeSet<String>,
    /// Tables of the library that it hands on, so that others may change them.
    pub handed_on: BTreeSet<String>,
    /// Names that it tests for their presence.
    pub tested: BTreeSet<String>,
    /// Ability to define globals in ways that are not followed.
    pub is_open: bool,
    /// Modules that it requires.
    pub requires: Vec<Requirement>,
    /// Functions of `iam` that it names, by their paths in allow-lists.
    pub mentioned: BTreeSet<&'static str>,
    /// Use of a module of the library that calls `iam` itself.
    pub uses_iam_by_library: bool,
    /// Manifest, if it declares a runbook with a table that can be read.
    pub manifest: Option<Manifest>,
    /// Fields of the table that it returns as a module, if they are certain.
    pub exports: Option<BTreeSet<String>>,
    /// Fields of modules of its own that it uses.
    pub module_uses: Vec<ModuleUse>,
}

/// `require` of a module that is no module of iamlua.
#[derive(Clone, Debug)]
pub(super) struct Requirement {
    pub module: String,
    pub span: Span,
    /// Call inside of `pcall` or `try`, so that a missing module is no error.
    pub is_optional: bool,
}

/// Use of a field of a module of one's own.
#[derive(Clone, Debug)]
pub(super) struct ModuleUse {
    pub module: String,
    pub field: String,
    pub span: Span,
    /// Use that fails if the field is nil.
    pub needs_value: bool,
}

/// Value of an expression, as far as it is certain.
#[derive(Clone, Debug)]
pub(super) enum Value<'s> {
    Unknown,
    /// Item of the library, by its name.
    Library(&'static str),
    /// Parameters of a runbook.
    Params(Rc<BTreeSet<String>>),
    /// Module of one's own, by the name that is required.
    Module(&'s str),
    /// Value of a documented type.
    Typed(Rc<str>),
    /// Profile from a listing, which has no tags; with its documented type.
    Untagged(Rc<str>),
    /// Values of a loop over it, by documented types.
    Loop(Rc<[Option<Rc<str>>]>),
    /// Value with no more to it than its shape.
    Literal(Shape<'s>),
}

/// Use of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Any use that keeps the value.
    Kept,
    /// Initial value of a local variable, or argument of a function that does not keep it.
    Read,
    /// Test for its presence.
    Test,
    /// Table of a field.
    Index,
    /// Call.
    Call,
}

impl Use {
    /// Check for a use that fails for nil.
    const fn needs_value(self) -> bool {
        matches!(self, Self::Index | Self::Call)
    }
}

/// Analysis of one file.
pub(super) struct Analysis<'s> {
    pub names: &'static Names,
    pub source: &'s str,
    /// Mark of a test file.
    is_test: bool,
    /// Globals that the embedding program defines.
    known_globals: &'s [String],
    assigned: HashSet<&'s str>,
    scopes: Vec<HashMap<&'s str, Value<'s>>>,
    /// Number of uses of a local as a whole.
    whole_uses: BTreeMap<&'s str, usize>,
    /// Depth of functions whose mistakes are meant.
    muted: usize,
    /// Depth of functions whose errors are caught.
    protected: usize,
    /// Calls of functions of `iam`, by their paths in allow-lists.
    calls: Vec<(&'static str, Span)>,
    /// Ends of the calls that list profiles without their tags.
    untagged: HashSet<usize>,
    pub facts: Facts,
}

/// Analyses a script.
pub(super) fn analyze(
    names: &'static Names,
    source: &str,
    tree: &Tree,
    is_test: bool,
    known_globals: &[String],
) -> Facts {
    let mut analysis = Analysis {
        names,
        source,
        is_test,
        known_globals,
        assigned: tree.assigned.names.iter().copied().collect(),
        scopes: vec![HashMap::new()],
        whole_uses: BTreeMap::new(),
        muted: 0,
        protected: 0,
        calls: Vec::new(),
        untagged: HashSet::new(),
        facts: Facts::default(),
    };
    analysis.facts.fields = tree.assigned.fields.iter().map(|name| (*name).to_owned()).collect();
    analysis.statements(&tree.block);
    analysis.facts.exports = analysis.exports(tree);
    let Analysis { mut facts, calls, .. } = analysis;
    if let Some(manifest) = &facts.manifest {
        facts.drafts.extend(manifest.check(&calls));
    }
    facts
}

impl<'s> Analysis<'s> {
    pub fn report(&mut self, draft: Draft) {
        if self.muted == 0 {
            self.facts.drafts.push(draft);
        }
    }

    // ------------------------------------------------------------------------------- Statements

    fn block(&mut self, block: &Block<'s>) {
        self.scopes.push(HashMap::new());
        self.statements(block);
        self.scopes.pop();
    }

    fn statements(&mut self, block: &Block<'s>) {
        for statement in block {
            self.statement(statement);
        }
    }

    fn declare(&mut self, name: &Name<'s>, value: Value<'s>) {
        let value = if self.assigned.contains(name.text) { Value::Unknown } else { value };
        if name.text == "_ENV" {
            self.facts.is_open = true;
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.text, value);
        }
    }

    fn statement(&mut self, statement: &Statement<'s>) {
        match statement {
            Statement::Local { names, values } => {
                let found: Vec<_> =
                    values.iter().map(|value| self.expr(value, Use::Read)).collect();
                for (at, name) in names.iter().enumerate() {
                    self.declare(name, found.get(at).cloned().unwrap_or(Value::Unknown));
                }
            }
            Statement::LocalFunction { name, body } => {
                self.declare(name, Value::Literal(Shape::Unknown));
                self.function(body, &[]);
            }
            Statement::Function { target, body } => {
                self.target(target);
                self.function(body, &[]);
            }
            Statement::Assign { targets, values } => {
                for value in values {
                    self.expr(value, Use::Kept);
                }
                for target in targets {
                    self.target(target);
                }
            }
            Statement::Call(call) => {
                self.expr(call, Use::Read);
            }
            Statement::Do(body) => self.block(body),
            Statement::While { condition, body } => {
                self.expr(condition, Use::Test);
                self.block(body);
            }
            Statement::Repeat { body, condition } => {
                // The condition sees the locals of the body.
                self.scopes.push(HashMap::new());
                self.statements(body);
                self.expr(condition, Use::Test);
                self.scopes.pop();
            }
            Statement::If { arms, otherwise } => {
                for (condition, body) in arms {
                    self.expr(condition, Use::Test);
                    self.block(body);
                }
                self.block(otherwise);
            }
            Statement::For { names, values, is_numeric, body } => {
                let found: Vec<_> =
                    values.iter().map(|value| self.expr(value, Use::Read)).collect();
                let first = found.into_iter().next().filter(|_| !is_numeric);
                if let (Some(first), Some(value)) = (&first, values.first()) {
                    self.check_iterated(first, value);
                }
                let is_untagged = values.first().is_some_and(|value| self.is_untagged(value));
                let types = match first {
                    Some(Value::Loop(types)) => types.to_vec(),
                    Some(Value::Typed(ty)) => vec![items_of(&ty, false)],
                    _ => Vec::new(),
                };
                self.scopes.push(HashMap::new());
                for (at, name) in names.iter().enumerate() {
                    let ty = types.get(at).cloned().flatten();
                    self.declare(
                        name,
                        match ty {
                            Some(ty) if is_untagged => Value::Untagged(ty),
                            Some(ty) => Value::Typed(ty),
                            None => Value::Unknown,
                        },
                    );
                }
                self.block(body);
                self.scopes.pop();
            }
            Statement::Return(values) => {
                for value in values {
                    self.expr(value, Use::Kept);
                }
            }
        }
    }

    /// Check for a loop over profiles of a listing without their tags, itself or by `ipairs`.
    fn is_untagged(&self, value: &Expr<'s>) -> bool {
        let ExprKind::Chain(_, links) = &value.kind else { return false };
        let Some(Link::Call(args, _)) = links.last() else { return false };
        let ends = std::iter::once(value).chain(args).map(|expr| expr.span.end);
        ends.into_iter().any(|end| self.untagged.contains(&end))
    }

    /// Checks what a loop calls for each round.
    fn check_iterated(&mut self, value: &Value<'s>, expr: &Expr<'s>) {
        let is_page = |ty: &str| {
            types::entries_of(ty).is_some()
                || (types::union(ty).len() == 1 && ty.ends_with("[]") && !ty.starts_with("fun("))
        };
        let hint = match (&expr.kind, value) {
            (ExprKind::Table(_), _) => mistakes::LOOP_OVER_TABLE,
            (_, Value::Typed(ty)) if is_page(ty) => {
                if ty.starts_with("iam.Profile") {
                    mistakes::LOOP_OVER_PAGE
                } else {
                    mistakes::LOOP_OVER_TABLE
                }
            }
            _ => return,
        };
        let message = "a loop calls what stands after `in`, and this is a table";
        let draft = Draft::error(Rule::NotIterable, expr.span.clone(), message).hint(hint);
        self.report(draft.unless(Doubt::Field("__call".to_owned())));
    }

    /// Target of an assignment.
    fn target(&mut self, target: &Expr<'s>) {
        match &target.kind {
            ExprKind::Name(name) if self.local(name).is_none() => {
                self.facts.globals.insert((*name).to_owned());
                if *name == "_ENV" || *name == "_G" {
                    self.facts.is_open = true;
                }
            }
            ExprKind::Chain(head, links) => {
                let Some((last, links)) = links.split_last() else { return };
                let is_globals = links.is_empty() && self.is_global_table(head);
                match last {
                    Link::Field(field) if is_globals => {
                        self.facts.globals.insert(field.text.to_owned());
                        return;
                    }
                    Link::Index(key) => {
                        self.expr(key, Use::Kept);
                        match &key.kind {
                            ExprKind::Text(Some(key)) if is_globals => {
                                self.facts.globals.insert((*key).to_owned());
                                return;
                            }
                            ExprKind::Text(Some(_)) | ExprKind::Number(_) => {}
                            _ if is_globals => self.facts.is_open = true,
                            _ => {
                                // Any field may be set.
                                let value = self.chain(head, links, Use::Index);
                                self.hand_on(&value);
                                return;
                            }
                        }
                    }
                    _ => {}
                }
                self.chain(head, links, Use::Index);
            }
            _ => {}
        }
    }

    // ------------------------------------------------------------------------------ Expressions

    fn local(&self, name: &str) -> Option<&Value<'s>> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// Check for the table of the globals.
    fn is_global_table(&self, expr: &Expr<'s>) -> bool {
        matches!(expr.kind, ExprKind::Name("_G" | "_ENV")) && {
            let ExprKind::Name(name) = expr.kind else { return false };
            self.local(name).is_none() && !self.assigned.contains(name)
        }
    }

    fn expr(&mut self, expr: &Expr<'s>, how: Use) -> Value<'s> {
        match &expr.kind {
            ExprKind::Nil => Value::Literal(Shape::Nil),
            ExprKind::Boolean(_) => Value::Literal(Shape::Boolean),
            ExprKind::Number(Number::Integer(_)) => Value::Literal(Shape::Integer),
            ExprKind::Number(Number::Float(_)) => Value::Literal(Shape::Float),
            ExprKind::Text(text) => Value::Literal(Shape::Text(*text)),
            ExprKind::Vararg => Value::Unknown,
            ExprKind::Function(function) => {
                self.function(function, &[]);
                Value::Literal(Shape::Function)
            }
            ExprKind::Table(items) => {
                for item in items {
                    match item {
                        Item::Named(_, value) | Item::Positional(value) => {
                            self.expr(value, Use::Kept);
                        }
                        Item::Keyed(key, value) => {
                            self.expr(key, Use::Kept);
                            self.expr(value, Use::Kept);
                        }
                    }
                }
                Value::Literal(Shape::Table)
            }
            ExprKind::Name(name) => {
                let value = self.name(name, &expr.span, how);
                if how == Use::Kept {
                    self.hand_on(&value);
                }
                value
            }
            ExprKind::Paren(inner) => self.expr(inner, how),
            ExprKind::Chain(head, links) => {
                let value = self.chain(head, links, how);
                if how == Use::Kept {
                    self.hand_on(&value);
                }
                value
            }
            ExprKind::Operation(operator, operands) => self.operation(*operator, operands, how),
        }
    }

    /// Checks the operands of arithmetic, from left to right: texts that are no numbers.
    fn check_operands(&mut self, operator: Operator, operands: &[Expr<'s>], values: &[Value<'s>]) {
        let is_scalar = |value: &Value| match value {
            Value::Literal(shape) => {
                !matches!(shape, Shape::Unknown | Shape::Table | Shape::Function)
            }
            Value::Typed(ty) => matches!(&**ty, "string" | "integer" | "number" | "boolean"),
            _ => false,
        };
        // Every number has a digit.
        let is_no_number = |value: &Value| match value {
            Value::Literal(Shape::Text(Some(text))) => !text.contains(|c: char| c.is_ascii_digit()),
            _ => false,
        };
        let known = values.iter().take_while(|value| is_scalar(value)).count();
        let Some(at) = values[..known].iter().position(is_no_number).filter(|_| known > 1) else {
            return;
        };
        let message = "this text is no number, so arithmetic with it fails";
        let draft = Draft::error(Rule::InvalidOperand, operands[at].span.clone(), message);
        let draft = draft.hint(match operator {
            Operator::Add => mistakes::ADDED_TEXTS,
            _ => mistakes::NUMBER_OF_TEXT,
        });
        // A script may give texts such operators.
        self.report(
            METAMETHODS
                .iter()
                .fold(draft, |draft, event| draft.unless(Doubt::Field((*event).to_owned()))),
        );
    }

    /// Checks a comparison with nil: functions that return a record or raise an error.
    fn check_compared(&mut self, operands: &[Expr<'s>]) {
        for operand in operands {
            let ExprKind::Chain(_, links) = &operand.kind else { continue };
            let Some(Link::Call(_, span)) = links.last() else { continue };
            let called = self.calls.last().filter(|(_, call)| call.end == span.end);
            let module = called.and_then(|(path, _)| path.strip_suffix(".get"));
            let Some(module) = module else { continue };
            let message = format!("`iam.{module}.get` never returns nil: it raises an error");
            let draft = Draft::warning(Rule::ConstantComparison, operand.span.clone(), message);
            let draft = draft.hint(format!("iam.{module}.find returns nil if there is none"));
            self.report(draft.unless(Doubt::Field("get".to_owned())));
        }
    }

    fn operation(&mut self, operator: Operator, operands: &[Expr<'s>], how: Use) -> Value<'s> {
        let mut values = Vec::with_capacity(operands.len());
        let has_nil = operands.iter().any(|operand| matches!(operand.kind, ExprKind::Nil));
        for (at, operand) in operands.iter().enumerate() {
            let inner = match operator {
                Operator::Choice if at + 1 == operands.len() => how,
                Operator::Choice | Operator::Not => Use::Test,
                Operator::Equality if has_nil => Use::Test,
                _ => Use::Read,
            };
            let value = self.expr(operand, inner);
            if operator == Operator::Choice {
                // The result may be any of them.
                self.hand_on(&value);
            }
            values.push(value);
        }
        if has_nil && operator == Operator::Equality {
            self.check_compared(operands);
        }
        if matches!(operator, Operator::Add | Operator::Other) {
            self.check_operands(operator, operands, &values);
        }
        if operator == Operator::Length
            && let Some(Value::Typed(ty)) = values.first()
            && types::is_function(ty)
        {
            let message = "this is a function, which has no length";
            let draft = Draft::error(Rule::InvalidOperand, operands[0].span.clone(), message);
            self.report(draft.hint(mistakes::LENGTH_OF_FUNCTION));
        }
        match operator {
            Operator::Concat => Value::Literal(Shape::Text(None)),
            Operator::Not | Operator::Equality | Operator::Order => Value::Literal(Shape::Boolean),
            Operator::Minus => match operands.first().map(|operand| &operand.kind) {
                Some(ExprKind::Number(Number::Integer(_))) => Value::Literal(Shape::Integer),
                Some(ExprKind::Number(Number::Float(_))) => Value::Literal(Shape::Float),
                _ => Value::Unknown,
            },
            Operator::Choice | Operator::Length | Operator::Add | Operator::Other => Value::Unknown,
        }
    }

    /// Marks a table as one that others may change.
    fn hand_on(&mut self, value: &Value<'s>) {
        match value {
            Value::Library(name) if self.names.is_table(name) || name.starts_with("package.") => {
                self.facts.handed_on.insert((*name).to_owned());
            }
            Value::Library("require" | "load") => self.facts.is_open = true,
            _ => {}
        }
    }

    fn function(&mut self, function: &Function<'s>, types: &[Option<Rc<str>>]) {
        self.scopes.push(HashMap::new());
        for (at, param) in function.params.iter().enumerate() {
            let ty = types.get(at).cloned().flatten();
            self.declare(param, ty.map_or(Value::Unknown, Value::Typed));
        }
        self.statements(&function.body);
        self.scopes.pop();
    }

    fn name(&mut self, name: &'s str, span: &Span, how: Use) -> Value<'s> {
        if let Some(value) = self.local(name) {
            let value = value.clone();
            if how != Use::Index {
                *self.whole_uses.entry(name).or_default() += 1;
            }
            return value;
        }
        if name == "_ENV" || name == "_G" {
            self.facts.is_open |= how != Use::Index;
            return Value::Unknown;
        }
        self.global(name, span, how)
    }

    fn global(&mut self, name: &str, span: &Span, how: Use) -> Value<'s> {
        if self.assigned.contains(name) || self.known_globals.iter().any(|known| known == name) {
            return Value::Unknown;
        }
        // Scripts test for globals that may be there. Those of other languages never are.
        let is_test = how == Use::Test && !mistakes::is_foreign_value(name);
        if is_test {
            self.facts.tested.insert(name.to_owned());
        }
        if let Some(found) = self.names.find(name, true) {
            if self.names.is_of_tests(name) && !self.is_test {
                if how != Use::Test {
                    let draft = Draft::of(
                        how.needs_value(),
                        Rule::UndefinedGlobal,
                        span.clone(),
                        format!("`{name}` is there in test files only"),
                    );
                    let draft =
                        draft.hint("`iamlua test` runs files whose names end with _test.lua");
                    let draft = draft.unless(Doubt::Test).unless(Doubt::Tested(name.to_owned()));
                    self.report(draft.unless(Doubt::Global(name.to_owned())));
                }
                return Value::Unknown;
            }
            if found == "usage" {
                self.facts.uses_iam_by_library = true;
            }
            return Value::Library(self.kept(found));
        }
        if is_test {
            return Value::Unknown;
        }
        let message = format!("there is no global `{name}`");
        let draft = Draft::of(how.needs_value(), Rule::UndefinedGlobal, span.clone(), message);
        let mut known = self.names.fields("", self.is_test);
        known.extend(self.scopes.iter().flat_map(|scope| scope.keys().copied()));
        known.extend(self.assigned.iter().copied());
        known.sort_unstable();
        let is_called = how == Use::Call;
        let after = self.source.get(span.end..).unwrap_or_default();
        let before_text = after.starts_with(['"', '\'']) || after.starts_with("[[");
        let draft = if let Some(advice) = mistakes::foreign_global(name, is_called, before_text) {
            draft.hint(advice)
        } else {
            let known: Vec<_> = known.into_iter().map(str::to_owned).collect();
            draft.near(mistakes::meant_global(name, &known, is_called).as_deref())
        };
        let draft = draft.unless(Doubt::Global(name.to_owned()));
        self.report(draft.unless(Doubt::Tested(name.to_owned())));
        Value::Unknown
    }

    /// The name as it is kept for the whole time.
    fn kept(&self, name: &str) -> &'static str {
        self.names.find(name, true).unwrap_or_default()
    }

    fn chain(&mut self, head: &Expr<'s>, links: &[Link<'s>], how: Use) -> Value<'s> {
        let use_of = |at: usize| match links.get(at) {
            Some(Link::Call(..)) => Use::Call,
            Some(_) => Use::Index,
            None => how,
        };
        let is_globals = self.is_global_table(head);
        let mut value = match &head.kind {
            ExprKind::Name(name) => {
                let how = match links.first() {
                    // Which field is used is not certain.
                    Some(Link::Index(_)) if !is_globals => {
                        *self.whole_uses.entry(name).or_default() += 1;
                        Use::Index
                    }
                    _ => use_of(0),
                };
                self.name(name, &head.span, how)
            }
            _ => self.expr(head, use_of(0)),
        };
        for (at, link) in links.iter().enumerate() {
            let next = use_of(at + 1);
            value = match link {
                Link::Field(field) if at == 0 && is_globals => {
                    self.global(field.text, &field.span, next)
                }
                Link::Field(field) => self.field(&value, field.text, &field.span, next),
                Link::Index(key) => {
                    let found = self.expr(key, Use::Read);
                    if let (Value::Literal(Shape::Text(Some(name))), Value::Library(_)) =
                        (found, &value)
                    {
                        self.field(&value, name, &key.span, next)
                    } else {
                        self.hand_on(&value);
                        match &value {
                            Value::Typed(ty) => {
                                items_of(ty, true).map_or(Value::Unknown, Value::Typed)
                            }
                            _ => Value::Unknown,
                        }
                    }
                }
                Link::Call(args, span) => self.call(&value, args, span, &head.span),
                Link::Method(name, args, span) => self.method(&value, name, args, span),
            };
        }
        value
    }

    // ----------------------------------------------------------------------------------- Fields

    fn field(&mut self, value: &Value<'s>, name: &'s str, span: &Span, how: Use) -> Value<'s> {
        match value {
            Value::Library(table) if self.names.is_table(table) => {
                self.library_field(table, name, span, how, None)
            }
            Value::Params(params) => {
                if !params.contains(name) {
                    let message = format!("the runbook has no parameter `{name}`");
                    let draft = Draft::error(Rule::UndefinedField, span.clone(), message);
                    let draft = match nearest(name, params.iter().map(String::as_str)) {
                        Some(near) => draft.near(Some(near)),
                        None => draft.hint("declare it in `params`"),
                    };
                    self.report(draft.unless(Doubt::Field(name.to_owned())));
                }
                Value::Unknown
            }
            Value::Module(module) => {
                if how != Use::Test {
                    self.facts.module_uses.push(ModuleUse {
                        module: (*module).to_owned(),
                        field: name.to_owned(),
                        span: span.clone(),
                        needs_value: how.needs_value(),
                    });
                }
                Value::Unknown
            }
            Value::Typed(ty) => self.record_field(&Rc::clone(ty), name, span, how),
            Value::Untagged(ty) => {
                if name == "tags" && how.needs_value() {
                    let message = "the tags of a profile from a listing are nil";
                    let draft = Draft::error(Rule::NeedCheckNil, span.clone(), message);
                    let draft = draft.hint(mistakes::WITHOUT_TAGS);
                    self.report(
                        draft
                            .unless(Doubt::Field("tags".to_owned()))
                            .unless(Doubt::Tested(format!("{ty}.tags"))),
                    );
                }
                self.record_field(&Rc::clone(ty), name, span, how)
            }
            _ => Value::Unknown,
        }
    }

    fn library_field(
        &mut self,
        table: &'static str,
        name: &str,
        span: &Span,
        how: Use,
        hint: Option<String>,
    ) -> Value<'s> {
        let full = format!("{table}.{name}");
        if how == Use::Test {
            self.facts.tested.insert(full.clone());
        }
        if let Some(found) = self.names.find(&full, true) {
            let found = self.kept(found);
            self.facts.mentioned.extend(found.strip_prefix("iam."));
            return Value::Library(found);
        }
        if how != Use::Test {
            let message = format!("`{table}` has no `{name}`");
            let fields = self.names.fields(table, self.is_test);
            let fields: Vec<_> = fields.into_iter().map(str::to_owned).collect();
            let hint = hint.or_else(|| mistakes::missing_field(table, name, &fields));
            let draft = Draft::of(how.needs_value(), Rule::UndefinedField, span.clone(), message)
                .hint(hint.unwrap_or_default());
            let root = table.split('.').next().unwrap_or(table);
            self.report(
                draft
                    .unless(Doubt::Field(name.to_owned()))
                    .unless(Doubt::Table(table.to_owned()))
                    .unless(Doubt::Table(root.to_owned()))
                    .unless(Doubt::Replaced(root.to_owned()))
                    .unless(Doubt::Tested(full)),
            );
        }
        Value::Unknown
    }

    fn record_field(&mut self, ty: &str, name: &str, span: &Span, how: Use) -> Value<'s> {
        let Some(class) = types::class_of(ty) else { return Value::Unknown };
        let fields = fields_of(class);
        if let Some(field) = fields.iter().find(|field| field.name == name) {
            if how == Use::Test {
                self.facts.tested.insert(format!("{}.{name}", class.name));
            }
            return Value::Typed(field.ty.as_str().into());
        }
        let is_method = docs::members(&class.name).any(|item| item.short_name() == name);
        if !is_method && !fields.is_empty() && how != Use::Test {
            let message = format!("`{}` has no field `{name}`", class.name);
            let draft = Draft::of(how.needs_value(), Rule::UndefinedField, span.clone(), message)
                .near(nearest(name, fields.iter().map(|field| field.name.as_str())));
            let draft = match mistakes::missing_record_field(name) {
                Some(advice) if class.name.starts_with("iam.") => draft.hint(advice),
                _ => draft,
            };
            self.report(
                draft
                    .unless(Doubt::Field(name.to_owned()))
                    .unless(Doubt::Table(RECORDS.to_owned()))
                    .unless(Doubt::Tested(format!("{}.{name}", class.name))),
            );
        } else if how == Use::Test {
            self.facts.tested.insert(format!("{}.{name}", class.name));
        }
        Value::Unknown
    }

    // ------------------------------------------------------------------------------------ Calls

    fn call(
        &mut self,
        callee: &Value<'s>,
        args: &[Expr<'s>],
        span: &Span,
        head: &Span,
    ) -> Value<'s> {
        let Value::Library(name) = *callee else {
            for arg in args {
                self.expr(arg, Use::Kept);
            }
            return Value::Unknown;
        };
        if name == "require" {
            return self.require(args, span);
        }
        if name == "load" {
            self.facts.is_open = true;
        }
        if name == "rawset"
            && let Some(ExprKind::Text(Some(key))) = args.get(1).map(|key| &key.kind)
        {
            self.facts.fields.insert((*key).to_owned());
        }
        let values = self.arguments(name, args);
        if let Some(path) = name.strip_prefix("iam.") {
            self.calls.push((path, head.start..span.end));
            if matches!(path, "profiles.each" | "profiles.list") && is_without_tags(args) {
                self.untagged.insert(span.end);
            }
        }
        if self.names.is_unavailable(name) {
            let message = format!("`{name}` always fails: it is not available in scripts");
            let draft = Draft::error(Rule::Unavailable, head.start..span.start, message);
            let text = self.names.item(name).map_or("", |item| item.text.as_str());
            let hint = text.split("\n\n").next().unwrap_or_default();
            let draft = draft.hint(if hint.is_empty() {
                "`iamlua doc lua` lists what is not available"
            } else {
                hint
            });
            let short = name.rsplit('.').next().unwrap_or(name);
            let draft = draft.unless(Doubt::Field(short.to_owned()));
            self.report(draft.unless(Doubt::Replaced(name.to_owned())));
        }
        self.check_arguments(name, args, &values, span);
        if name == "runbook" {
            return self.runbook(args, head.start..span.end);
        }
        self.result_of(name, &values)
    }

    /// Values of the arguments of a function of the library.
    fn arguments(&mut self, name: &'static str, args: &[Expr<'s>]) -> Vec<Value<'s>> {
        let how = match name {
            "type" => Use::Test,
            name if PURE.contains(&name) => Use::Read,
            _ => Use::Kept,
        };
        let is_protected = matches!(name, "pcall" | "xpcall" | "try");
        if is_protected && let [function, module, ..] = args {
            // `pcall(require, "module")`
            if let (ExprKind::Name("require"), ExprKind::Text(Some(text))) =
                (&function.kind, &module.kind)
                && self.local("require").is_none()
                && self.names.find(text, false).is_none()
            {
                self.facts.requires.push(Requirement {
                    module: (*text).to_owned(),
                    span: module.span.clone(),
                    is_optional: true,
                });
                return Vec::new();
            }
        }
        let item = self.names.item(name);
        let mut values: Vec<Value> = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            let ExprKind::Function(function) = &arg.kind else {
                values.push(self.expr(arg, how));
                continue;
            };
            let is_meant = name == "expect" || name.ends_with(".expect");
            self.muted += usize::from(is_meant);
            self.protected += usize::from(is_protected);
            let param = item.and_then(|item| item.params.get(at));
            let types = param.and_then(|param| docs::function_type(&param.ty));
            let types = types.map_or(Vec::new(), |(params, _)| {
                let generics = item.map_or(Vec::new(), |item| bound(item, &values));
                params.iter().map(|(_, ty)| substituted(ty, &generics)).collect()
            });
            self.function(function, &types);
            self.muted -= usize::from(is_meant);
            self.protected -= usize::from(is_protected);
            values.push(Value::Literal(Shape::Function));
        }
        values
    }

    fn result_of(&mut self, name: &'static str, args: &[Value<'s>]) -> Value<'s> {
        match (name, args.first()) {
            ("ipairs", Some(Value::Typed(ty))) => {
                return items_of(ty, true)
                    .map_or(Value::Unknown, |ty| Value::Loop([None, Some(ty)].into()));
            }
            ("iam.connect", _) => return Value::Library("iam"),
            _ => {}
        }
        let Some(item) = self.names.item(name) else { return Value::Unknown };
        let Some(result) = item.returns.first() else { return Value::Unknown };
        if item.generics.is_empty() && item.overloads.len() < 2 {
            Value::Typed(result.ty.as_str().into())
        } else {
            Value::Unknown
        }
    }

    fn require(&mut self, args: &[Expr<'s>], _: &Span) -> Value<'s> {
        let Some(Expr { kind: ExprKind::Text(Some(text)), span }) = args.first() else {
            for arg in args {
                self.expr(arg, Use::Kept);
            }
            self.facts.is_open = true;
            return Value::Unknown;
        };
        let text = *text;
        if self.names.is_module(text) {
            self.facts.uses_iam_by_library |= text == "usage";
            return Value::Library(self.kept(text));
        }
        self.facts.requires.push(Requirement {
            module: text.to_owned(),
            span: span.clone(),
            is_optional: self.protected > 0,
        });
        Value::Module(text)
    }

    fn runbook(&mut self, args: &[Expr<'s>], span: Span) -> Value<'s> {
        let Some(Expr { kind: ExprKind::Table(items), span: table }) = args.first() else {
            return Value::Unknown;
        };
        let read = manifest::read(items, &self.source[table.clone()], span);
        let params = read.params.clone();
        if self.facts.manifest.is_none() && self.muted == 0 {
            self.facts.manifest = Some(read);
        }
        params.map_or(Value::Unknown, |params| Value::Params(Rc::new(params)))
    }

    fn method(
        &mut self,
        value: &Value<'s>,
        name: &Name<'s>,
        args: &[Expr<'s>],
        _: &Span,
    ) -> Value<'s> {
        let result = match value {
            Value::Library(table) if self.names.is_table(table) => {
                self.colon(table, name);
                Value::Unknown
            }
            Value::Literal(Shape::Text(_)) => self.text_method(name),
            Value::Typed(ty) if &**ty == "string" => self.text_method(name),
            Value::Library("try") => {
                let message = "`try` is a function, which has no methods";
                let draft = Draft::error(Rule::ColonCall, name.span.clone(), message);
                let draft = draft.hint(mistakes::TRY);
                self.report(draft.unless(Doubt::Replaced("try".to_owned())));
                Value::Unknown
            }
            Value::Typed(ty) | Value::Untagged(ty) => self.class_method(&Rc::clone(ty), name),
            Value::Module(_) => self.field(value, name.text, &name.span, Use::Call),
            _ => Value::Unknown,
        };
        for arg in args {
            self.expr(arg, Use::Kept);
        }
        result
    }

    /// Method of a text.
    fn text_method(&mut self, name: &Name<'s>) -> Value<'s> {
        if self.names.find(&format!("string.{}", name.text), false).is_none() {
            let hint = mistakes::missing_text_method(name.text);
            let library = self.kept("string");
            self.library_field(library, name.text, &name.span, Use::Call, hint);
        }
        Value::Unknown
    }

    /// Function of a module that is called as a method.
    fn colon(&mut self, table: &'static str, name: &Name<'s>) {
        let full = format!("{table}.{}", name.text);
        if self.names.find(&full, true).is_none() {
            self.library_field(table, name.text, &name.span, Use::Call, None);
        } else if self.names.item(table).is_some_and(|item| item.kind == ItemKind::Module) {
            let is_iam = full.starts_with("iam.");
            let message = format!("`{full}` is called with `:`, which passes `{table}` to it");
            let draft = Draft::of(is_iam, Rule::ColonCall, name.span.clone(), message);
            let draft = draft.hint(format!("write `{full}(…)`"));
            let root = table.split('.').next().unwrap_or(table);
            self.report(
                draft
                    .unless(Doubt::Field(name.text.to_owned()))
                    .unless(Doubt::Table(table.to_owned()))
                    .unless(Doubt::Replaced(root.to_owned())),
            );
        }
    }

    fn class_method(&mut self, ty: &str, name: &Name<'s>) -> Value<'s> {
        let Some(class) = types::class_of(ty) else { return Value::Unknown };
        let methods: Vec<_> = docs::members(&class.name).filter(|item| item.is_method()).collect();
        if let Some(item) = methods.iter().find(|item| item.short_name() == name.text) {
            let result = item.returns.first();
            return result.map_or(Value::Unknown, |result| Value::Typed(result.ty.as_str().into()));
        }
        let is_field = fields_of(class).iter().any(|field| field.name == name.text);
        if !methods.is_empty() && !is_field {
            let message = format!("`{}` has no method `{}`", class.name, name.text);
            let near = nearest(name.text, methods.iter().map(|item| item.short_name()));
            let draft = Draft::error(Rule::UndefinedField, name.span.clone(), message).near(near);
            self.report(draft.unless(Doubt::Field(name.text.to_owned())));
        }
        Value::Unknown
    }

    // ---------------------------------------------------------------------------------- Modules

    /// Fields of the table that the file returns, if they are certain.
    fn exports(&self, tree: &Tree<'s>) -> Option<BTreeSet<String>> {
        let Some(Statement::Return(values)) = tree.block.last() else { return None };
        let [value] = &values[..] else { return None };
        let items = match &value.kind {
            ExprKind::Table(items) => items,
            ExprKind::Name(name) if self.whole_uses.get(name) == Some(&1) => {
                if self.assigned.contains(name) {
                    return None;
                }
                tree.block.iter().rev().find_map(|statement| match statement {
                    Statement::Local { names, values } if names.len() == 1 => {
                        match (&names[0], values.first().map(|value| &value.kind)) {
                            (own, Some(ExprKind::Table(items))) if own.text == *name => Some(items),
                            _ => None,
                        }
                    }
                    _ => None,
                })?
            }
            _ => return None,
        };
        let mut fields = BTreeSet::new();
        for item in items {
            let Item::Named(name, _) = item else { return None };
            fields.insert(name.text.to_owned());
        }
        fields.extend(tree.assigned.fields.iter().map(|name| (*name).to_owned()));
        Some(fields)
    }
}

/// Check for arguments of a listing that certainly do not ask for the tags.
fn is_without_tags(args: &[Expr]) -> bool {
    match args {
        [] => true,
        [Expr { kind: ExprKind::Table(items), .. }] => items
            .iter()
            .all(|item| matches!(item, Item::Named(name, _) if name.text != "with_tags")),
        _ => false,
    }
}

/// Fields of a class and of the classes that it extends.
pub(super) fn fields_of(class: &'static docs::Item) -> Vec<&'static docs::ParamDoc> {
    let mut fields: Vec<_> = class.fields.iter().collect();
    let mut base = docs::item(&class.ty);
    // Bounded, should two classes extend each other.
    for _ in 0..8 {
        let Some(class) = base.filter(|item| item.kind == ItemKind::Class) else { break };
        fields.extend(&class.fields);
        base = docs::item(&class.ty);
    }
    fields
}

/// Type of the items of a list or, unless `is_list`, of an iterator.
fn items_of(ty: &str, is_list: bool) -> Option<Rc<str>> {
    if is_list {
        let entries = types::entries_of(ty).map(Into::into);
        return entries.or_else(|| types::values_of(ty, true).map(|ty| ty.as_ref().into()));
    }
    match docs::function_type(ty) {
        Some((params, result)) if params.is_empty() && !result.is_empty() => Some(result.into()),
        _ => None,
    }
}

/// Type parameters of a function that its arguments determine.
fn bound(item: &'static docs::Item, args: &[Value]) -> Vec<(String, Rc<str>)> {
    let generics = item.generics.split(',').map(|one| one.split(':').next().unwrap_or(one).trim());
    let mut bound = Vec::new();
    for generic in generics.filter(|generic| !generic.is_empty()) {
        let list = format!("{generic}[]");
        for (param, arg) in item.params.iter().zip(args) {
            let Value::Typed(ty) = arg else { continue };
            if types::union(&param.ty).contains(&list.as_str()) {
                let found = items_of(ty, true).or_else(|| items_of(ty, false));
                bound.extend(found.map(|ty| (generic.to_owned(), ty)));
            }
        }
    }
    bound
}

/// Type of a parameter, with the type parameters that are known.
fn substituted(ty: &str, generics: &[(String, Rc<str>)]) -> Option<Rc<str>> {
    match generics.iter().find(|(name, _)| name == ty) {
        Some((_, bound)) => Some(Rc::clone(bound)),
        None if docs::item(ty).is_some() => Some(ty.into()),
        None => None,
    }
}
