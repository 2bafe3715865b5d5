//! Syntax tree of a script. tree-sitter parses it; this module turns its tree into one with types.
//!
//! Chains of suffixes (`a.b(c).d`) and of operators (`a + b + c`) are lists here. Lua bounds the
//! depth of everything else, so the recursion in this module is bounded for text that Lua compiles.

use std::ops::Range;

use tree_sitter::{Node, Parser};

/// Byte range in the source.
pub(super) type Span = Range<usize>;

/// A name and its position.
#[derive(Clone, Debug)]
pub(super) struct Name<'s> {
    pub text: &'s str,
    pub span: Span,
}

/// Statements of a block. Those that name nothing (`break`, `goto`, labels) are left out.
pub(super) type Block<'s> = Vec<Statement<'s>>;

/// A statement.
#[derive(Debug)]
pub(super) enum Statement<'s> {
    Local { names: Vec<Name<'s>>, values: Vec<Expr<'s>> },
    LocalFunction { name: Name<'s>, body: Function<'s> },
    Function { target: Expr<'s>, body: Function<'s> },
    Assign { targets: Vec<Expr<'s>>, values: Vec<Expr<'s>> },
    Call(Expr<'s>),
    Do(Block<'s>),
    While { condition: Expr<'s>, body: Block<'s> },
    Repeat { body: Block<'s>, condition: Expr<'s> },
    If { arms: Vec<(Expr<'s>, Block<'s>)>, otherwise: Block<'s> },
    For { names: Vec<Name<'s>>, values: Vec<Expr<'s>>, is_numeric: bool, body: Block<'s> },
    Return(Vec<Expr<'s>>),
}

/// A function: its parameters without `...`, and its body.
#[derive(Debug)]
pub(super) struct Function<'s> {
    pub params: Vec<Name<'s>>,
    pub body: Block<'s>,
}

/// An expression and its position.
#[derive(Debug)]
pub(super) struct Expr<'s> {
    pub kind: ExprKind<'s>,
    pub span: Span,
}

/// Kind of an expression.
#[derive(Debug)]
pub(super) enum ExprKind<'s> {
    Nil,
    Boolean(bool),
    Number(Number),
    /// Text; `None` if it has escape sequences.
    Text(Option<&'s str>),
    Vararg,
    Function(Function<'s>),
    Table(Vec<Item<'s>>),
    Name(&'s str),
    /// A name, a call or an expression in parentheses, with what is applied to it in turn.
    Chain(Box<Expr<'s>>, Vec<Link<'s>>),
    Paren(Box<Expr<'s>>),
    Operation(Operator, Vec<Expr<'s>>),
}

/// A number as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

/// Kind of an operation, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// `and`, `or`: the result is one of the operands.
    Choice,
    /// `==`, `~=`.
    Equality,
    /// `<` and its like.
    Order,
    /// `not`.
    Not,
    /// `..`.
    Concat,
    /// `-` before a value.
    Minus,
    /// `#`.
    Length,
    /// `+`.
    Add,
    /// Everything else, whose operands are numbers unless they have metatables.
    Other,
}

/// Item of a table constructor.
#[derive(Debug)]
pub(super) enum Item<'s> {
    Named(Name<'s>, Expr<'s>),
    Keyed(Expr<'s>, Expr<'s>),
    Positional(Expr<'s>),
}

/// Suffix of a value.
#[derive(Debug)]
pub(super) enum Link<'s> {
    Field(Name<'s>),
    Index(Expr<'s>),
    Call(Vec<Expr<'s>>, Span),
    Method(Name<'s>, Vec<Expr<'s>>, Span),
}

/// Names that a script assigns to, which therefore are not certain. Declarations do not count.
#[derive(Debug, Default)]
pub(super) struct Assigned<'s> {
    /// Variables.
    pub names: Vec<&'s str>,
    /// Fields, whatever their tables.
    pub fields: Vec<&'s str>,
}

/// A parsed script.
#[derive(Debug)]
pub(super) struct Tree<'s> {
    pub block: Block<'s>,
    pub assigned: Assigned<'s>,
}

/// Deepest nesting of nodes that is followed. Text that Lua compiles stays far below.
const MAX_DEPTH: usize = 4_000;

/// Parses text that Lua has compiled. `None` if the parser does not understand it all the same.
pub(super) fn parse(source: &str) -> Option<Tree<'_>> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_lua::LANGUAGE.into()).ok()?;
    let tree = parser.parse(source, None)?;
    let root = tree.root_node();
    if root.has_error() {
        return None;
    }
    let mut lowering = Lowering { source, assigned: Assigned::default(), depth: 0 };
    let block = lowering.block(root)?;
    Some(Tree { block, assigned: lowering.assigned })
}

/// Conversion of the nodes of tree-sitter.
struct Lowering<'s> {
    source: &'s str,
    assigned: Assigned<'s>,
    depth: usize,
}

fn children(node: Node) -> Vec<Node> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

impl<'s> Lowering<'s> {
    fn text(&self, node: Node) -> &'s str {
        &self.source[node.byte_range()]
    }

    fn name(&self, node: Node) -> Name<'s> {
        Name { text: self.text(node), span: node.byte_range() }
    }

    /// Statements among the children of a node.
    fn block(&mut self, node: Node) -> Option<Block<'s>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let mut block = Vec::new();
        for child in children(node) {
            if let Some(statement) = self.statement(child)? {
                block.push(statement);
            }
        }
        self.depth -= 1;
        Some(block)
    }

    /// Block in a field of a node; empty if there is none.
    fn body(&mut self, node: Node, field: &str) -> Option<Block<'s>> {
        match node.child_by_field_name(field) {
            Some(body) => self.block(body),
            None => Some(Block::new()),
        }
    }

    /// Expression in a field of a node.
    fn field(&mut self, node: Node, field: &str) -> Option<Expr<'s>> {
        self.expr(node.child_by_field_name(field)?)
    }

    fn exprs(&mut self, node: Node) -> Option<Vec<Expr<'s>>> {
        children(node).into_iter().map(|child| self.expr(child)).collect()
    }

    /// Statement; `Some(None)` for one that names nothing.
    fn statement(&mut self, node: Node) -> Option<Option<Statement<'s>>> {
        Some(Some(match node.kind() {
            "empty_statement" | "break_statement" | "goto_statement" | "label_statement"
            | "hash_bang_line" => return Some(None),
            "variable_declaration" => self.local(node)?,
            "assignment_statement" => {
                let [left, right] = children(node)[..] else { return None };
                let targets = self.exprs(left)?;
                for target in &targets {
                    self.assign(target);
                }
                Statement::Assign { targets, values: self.exprs(right)? }
            }
            "function_declaration" => self.function_declaration(node)?,
            "function_call" => Statement::Call(self.expr(node)?),
            "do_statement" => Statement::Do(self.body(node, "body")?),
            "while_statement" => Statement::While {
                condition: self.field(node, "condition")?,
                body: self.body(node, "body")?,
            },
            "repeat_statement" => Statement::Repeat {
                body: self.body(node, "body")?,
                condition: self.field(node, "condition")?,
            },
            "if_statement" => self.choice(node)?,
            "for_statement" => self.repetition(node)?,
            "return_statement" => {
                let values = children(node).into_iter().next();
                Statement::Return(values.map_or(Some(Vec::new()), |list| self.exprs(list))?)
            }
            _ => return None,
        }))
    }

    fn local(&mut self, node: Node) -> Option<Statement<'s>> {
        let inner = children(node).into_iter().next()?;
        let (list, values) = if inner.kind() == "variable_list" {
            (inner, Vec::new())
        } else {
            let [left, right] = children(inner)[..] else { return None };
            (left, self.exprs(right)?)
        };
        let names = children(list).into_iter().filter(|child| child.kind() == "identifier");
        Some(Statement::Local { names: names.map(|name| self.name(name)).collect(), values })
    }

    fn function_declaration(&mut self, node: Node) -> Option<Statement<'s>> {
        let name = node.child_by_field_name("name")?;
        let is_method = name.kind() == "method_index_expression";
        let mut body = self.function(node)?;
        if node.child(0).is_some_and(|first| first.kind() == "local") {
            return Some(Statement::LocalFunction { name: self.name(name), body });
        }
        let target = if is_method {
            let table = self.field(name, "table")?;
            let method = self.name(name.child_by_field_name("method")?);
            let own = Name { text: "self", span: method.span.clone() };
            body.params.insert(0, own);
            apply(table, Link::Field(method), name.end_byte())
        } else {
            self.expr(name)?
        };
        self.assign(&target);
        Some(Statement::Function { target, body })
    }

    /// Records an assignment.
    fn assign(&mut self, target: &Expr<'s>) {
        match &target.kind {
            ExprKind::Name(name) => self.assigned.names.push(name),
            ExprKind::Chain(_, links) => match links.last() {
                Some(Link::Field(field)) => self.assigned.fields.push(field.text),
                Some(Link::Index(Expr { kind: ExprKind::Text(Some(key)), .. })) => {
                    self.assigned.fields.push(key);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn choice(&mut self, node: Node) -> Option<Statement<'s>> {
        let mut arms = vec![(self.field(node, "condition")?, self.body(node, "consequence")?)];
        let mut otherwise = Block::new();
        for child in children(node) {
            match child.kind() {
                "elseif_statement" => {
                    arms.push((self.field(child, "condition")?, self.body(child, "consequence")?));
                }
                "else_statement" => otherwise = self.body(child, "body")?,
                _ => {}
            }
        }
        Some(Statement::If { arms, otherwise })
    }

    fn repetition(&mut self, node: Node) -> Option<Statement<'s>> {
        let clause = node.child_by_field_name("clause")?;
        let is_numeric = clause.kind() == "for_numeric_clause";
        let parts = children(clause);
        let (names, values) = if is_numeric {
            let (name, bounds) = parts.split_first()?;
            let bounds: Option<Vec<_>> = bounds.iter().map(|bound| self.expr(*bound)).collect();
            (vec![self.name(*name)], bounds?)
        } else {
            let [names, values] = parts[..] else { return None };
            let names = children(names).into_iter().map(|name| self.name(name)).collect();
            (names, self.exprs(values)?)
        };
        Some(Statement::For { names, values, is_numeric, body: self.body(node, "body")? })
    }

    fn function(&mut self, node: Node) -> Option<Function<'s>> {
        let params = children(node.child_by_field_name("parameters")?);
        let params = params.into_iter().filter(|param| param.kind() == "identifier");
        let params = params.map(|param| self.name(param)).collect();
        Some(Function { params, body: self.body(node, "body")? })
    }

    fn expr(&mut self, node: Node) -> Option<Expr<'s>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let expr = self.expr_within(node);
        self.depth -= 1;
        expr
    }

    fn expr_within(&mut self, node: Node) -> Option<Expr<'s>> {
        let span = node.byte_range();
        let kind = match node.kind() {
            "nil" => ExprKind::Nil,
            "true" => ExprKind::Boolean(true),
            "false" => ExprKind::Boolean(false),
            "number" => ExprKind::Number(number(self.text(node))),
            "string" => ExprKind::Text(self.literal(node)),
            "vararg_expression" => ExprKind::Vararg,
            "function_definition" => ExprKind::Function(self.function(node)?),
            "table_constructor" => {
                let items = children(node).into_iter().map(|item| self.item(item));
                ExprKind::Table(items.collect::<Option<_>>()?)
            }
            // `global` is a node of its own, because later versions of Lua reserve it.
            "identifier" | "global" | "_contextual_keyword" => ExprKind::Name(self.text(node)),
            "parenthesized_expression" => {
                ExprKind::Paren(Box::new(self.expr(children(node).into_iter().next()?)?))
            }
            "unary_expression" => {
                let operator = node.child_by_field_name("operator")?;
                let operator = match self.text(operator) {
                    "not" => Operator::Not,
                    "-" => Operator::Minus,
                    "#" => Operator::Length,
                    _ => Operator::Other,
                };
                ExprKind::Operation(operator, vec![self.field(node, "operand")?])
            }
            "binary_expression" => return self.operation(node),
            "dot_index_expression" | "bracket_index_expression" | "function_call" => {
                return self.chain(node);
            }
            _ => return None,
        };
        Some(Expr { kind, span })
    }

    /// Operands of a chain of operators, from left to right. Operators of another kind are nested.
    fn operation(&mut self, node: Node) -> Option<Expr<'s>> {
        let operator = |node: Node| -> Option<Operator> {
            let sign = node.child_by_field_name("operator")?;
            Some(match self.text(sign) {
                "and" | "or" => Operator::Choice,
                "==" | "~=" => Operator::Equality,
                "<" | "<=" | ">" | ">=" => Operator::Order,
                ".." => Operator::Concat,
                "+" => Operator::Add,
                _ => Operator::Other,
            })
        };
        // From the outermost operation down to the leftmost operand.
        let mut steps = Vec::new();
        let mut left = node;
        while left.kind() == "binary_expression" {
            steps.push((operator(left)?, left.child_by_field_name("right")?, left.byte_range()));
            left = left.child_by_field_name("left")?;
        }
        let mut expr = self.expr(left)?;
        while let Some((operator, right, span)) = steps.pop() {
            let right = self.expr(right)?;
            expr = match expr.kind {
                ExprKind::Operation(own, mut operands) if own == operator && operands.len() > 1 => {
                    operands.push(right);
                    Expr { kind: ExprKind::Operation(own, operands), span }
                }
                kind => {
                    let left = Expr { kind, span: expr.span };
                    Expr { kind: ExprKind::Operation(operator, vec![left, right]), span }
                }
            };
        }
        Some(expr)
    }

    fn chain(&mut self, node: Node) -> Option<Expr<'s>> {
        // From the last link to the head.
        let mut nodes = Vec::new();
        let mut head = node;
        loop {
            let inner = match head.kind() {
                "dot_index_expression" | "bracket_index_expression" => {
                    head.child_by_field_name("table")?
                }
                "function_call" => {
                    let name = head.child_by_field_name("name")?;
                    match name.kind() {
                        "method_index_expression" => name.child_by_field_name("table")?,
                        _ => name,
                    }
                }
                _ => break,
            };
            nodes.push(head);
            head = inner;
        }
        let head = self.expr(head)?;
        let mut links = Vec::with_capacity(nodes.len());
        for node in nodes.into_iter().rev() {
            links.push(self.link(node)?);
        }
        let span = node.byte_range();
        Some(Expr { kind: ExprKind::Chain(Box::new(head), links), span })
    }

    fn link(&mut self, node: Node) -> Option<Link<'s>> {
        Some(match node.kind() {
            "dot_index_expression" => Link::Field(self.name(node.child_by_field_name("field")?)),
            "bracket_index_expression" => Link::Index(self.field(node, "field")?),
            _ => {
                let arguments = node.child_by_field_name("arguments")?;
                let span = arguments.byte_range();
                let args = self.exprs(arguments)?;
                let name = node.child_by_field_name("name")?;
                match name.kind() {
                    "method_index_expression" => {
                        let method = self.name(name.child_by_field_name("method")?);
                        Link::Method(method, args, span)
                    }
                    _ => Link::Call(args, span),
                }
            }
        })
    }

    fn item(&mut self, node: Node) -> Option<Item<'s>> {
        let value = self.field(node, "value")?;
        let Some(name) = node.child_by_field_name("name") else {
            return Some(Item::Positional(value));
        };
        Some(if node.child(0).is_some_and(|first| first.kind() == "[") {
            Item::Keyed(self.expr(name)?, value)
        } else {
            Item::Named(self.name(name), value)
        })
    }

    fn literal(&self, node: Node) -> Option<&'s str> {
        let text = self.text(node);
        let quoted = text.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
        if let Some(inner) = quoted {
            return (!inner.contains('\\')).then_some(inner);
        }
        // Lua drops a line break at the beginning.
        let text = self.text(node.child_by_field_name("content")?);
        let text = text.strip_prefix('\r').unwrap_or(text);
        Some(text.strip_prefix('\n').unwrap_or(text))
    }
}

/// Adds a link to an expression.
fn apply<'s>(table: Expr<'s>, link: Link<'s>, end: usize) -> Expr<'s> {
    let span = table.span.start..end;
    match table.kind {
        ExprKind::Chain(head, mut links) => {
            links.push(link);
            Expr { kind: ExprKind::Chain(head, links), span }
        }
        kind => {
            let head = Expr { kind, span: table.span };
            Expr { kind: ExprKind::Chain(Box::new(head), vec![link]), span }
        }
    }
}

fn number(text: &str) -> Number {
    match text.parse::<i64>() {
        Ok(integer) => Number::Integer(integer),
        Err(_) => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                // As in Lua, more digits than fit wrap around.
                let tail = &digits[digits.len().saturating_sub(16)..];
                let bits = u64::from_str_radix(tail, 16).unwrap_or_default();
                Number::Integer(bits.cast_signed())
            }
            _ => Number::Float(text.parse().unwrap_or(f64::NAN)),
        },
    }
}
