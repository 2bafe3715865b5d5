//! Guards of functions of Lua's library that could run for too long in one call, or for ever. If
//! the arguments imply a short call, the function of the library runs; otherwise its replacement in
//! `stdlib/stoppable.lua` runs. That is written in Lua, in which a script can be stopped, and the
//! helpers that it calls here check for a stop.

// The Lua API is C. Every block states why it is sound.
#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value as LuaValue};

use super::cancel::Canceller;

/// Maximum number of steps in a short call, of some nanoseconds each.
const MAX_STEPS: f64 = 1e8;
/// Maximum number of table elements that a short call moves.
const MAX_ELEMENTS: i64 = 1_000_000;
/// Maximum number of elements in a short call where each may be a call of its own.
const MAX_CALLS: i64 = 100;
/// Maximum number of elements that a short call sorts.
const MAX_SORTED: i64 = 100_000;
/// Maximum size in bytes of a text that a short call builds.
const MAX_TEXT: f64 = (16 << 20) as f64;

/// Host functions that `stdlib/stoppable.lua` is built on.
pub(super) fn functions(lua: &Lua, table: &Table, canceller: &Canceller) -> mlua::Result<()> {
    let guard =
        lua.create_function(|lua, (name, native, slow): (String, Function, Function)| {
            let check: ffi::lua_CFunction = match name.as_str() {
                "find" => guarded::<Find>,
                "match" | "gmatch" => guarded::<Match>,
                "gsub" => guarded::<Gsub>,
                "rep" => guarded::<Rep>,
                "concat" => guarded::<Concat>,
                "move" => guarded::<Move>,
                "insert" | "remove" => guarded::<Insert>,
                "sort" => guarded::<Sort>,
                "unpack" => guarded::<Unpack>,
                other => {
                    return Err(mlua::Error::runtime(format!("there is no guard for {other}")));
                }
            };
            // SAFETY: the two upvalues that `guarded` has are set right here: a C function of Lua's
            // library and a Lua function.
            unsafe {
                lua.exec_raw::<Function>((native, slow), |state| {
                    ffi::lua_pushcclosure(state, check, 2);
                })
            }
        })?;
    table.set("guard", guard)?;
    let stop = canceller.clone();
    let match_from = lua.create_function(
        move |lua,
              (text, pattern, from, last, may_be_anchored): (
            LuaString,
            LuaString,
            usize,
            usize,
            bool,
        )| {
            let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
            let found = Matcher::new(&text, &pattern, &stop).find(from - 1, last, may_be_anchored);
            match found {
                Ok(values) => values.into_iter().map(|value| value.to_lua(lua)).collect(),
                Err(why) => Ok(MultiValue::from_iter([
                    LuaValue::Boolean(false),
                    LuaValue::String(lua.create_string(why)?),
                ])),
            }
        },
    )?;
    table.set("match_from", match_from)?;
    let find_plain =
        lua.create_function(|_, (text, what, from): (LuaString, LuaString, usize)| {
            let (text, what) = (text.as_bytes(), what.as_bytes());
            let at = memchr::memmem::find(text.get(from - 1..).unwrap_or_default(), &what);
            let place: (Option<usize>, Option<usize>) =
                at.map(|at| (at + from, at + from + what.len() - 1)).unzip();
            Ok(place)
        })?;
    table.set("find_plain", find_plain)
}

/// Check of a function's arguments.
trait Arguments {
    /// Check that the arguments imply a short call, or one that is refused.
    ///
    /// # Safety
    /// `state` is that of a C function whose arguments are at the bottom of its stack. Numbers
    /// among them may be converted to their plain form.
    unsafe fn are_short(state: *mut lua_State) -> bool;
}

/// Function of Lua's library behind a check of its arguments. Its upvalues are that function and
/// its replacement.
///
/// # Safety
/// Lua calls it with a valid state.
unsafe extern "C-unwind" fn guarded<A: Arguments>(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline. The library's functions have no
    // upvalues, so they find in this frame what they would find in one of their own; errors and
    // their positions are those of a direct call.
    unsafe {
        if A::are_short(state)
            && let Some(native) = ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1))
        {
            return native(state);
        }
        let count = ffi::lua_gettop(state);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, count, ffi::LUA_MULTRET);
        ffi::lua_gettop(state)
    }
}

/// Value of an integer argument; `default` if it is absent. `None` for a value that the library
/// refuses.
///
/// # Safety
/// As [`Arguments::are_short`].
unsafe fn whole(state: *mut lua_State, at: c_int, default: i64) -> Option<i64> {
    // SAFETY: reads and replaces one argument.
    unsafe {
        if ffi::lua_isnoneornil(state, at) != 0 {
            return Some(default);
        }
        let mut is_number = 0;
        let number = ffi::lua_tointegerx(state, at, &raw mut is_number);
        if is_number == 0 {
            return None;
        }
        ffi::lua_pushinteger(state, number);
        ffi::lua_replace(state, at);
        Some(number)
    }
}

/// Value of a text argument; numbers are converted.
///
/// # Safety
/// As [`Arguments::are_short`]; the bytes are valid while the argument is there.
unsafe fn text<'a>(state: *mut lua_State, at: c_int) -> Option<&'a [u8]> {
    // SAFETY: Lua gives pointer and length of a string that the stack holds.
    unsafe {
        if ffi::lua_isstring(state, at) == 0 {
            return None;
        }
        let mut length = 0;
        let bytes = ffi::lua_tolstring(state, at, &raw mut length);
        Some(std::slice::from_raw_parts(bytes.cast(), length))
    }
}

/// Length of a table without metamethods for its elements. `None` for any other value.
///
/// # Safety
/// As [`Arguments::are_short`].
unsafe fn plain_length(state: *mut lua_State, at: c_int) -> Option<i64> {
    // SAFETY: `luaL_getmetafield` pushes one value if it finds any.
    unsafe {
        let has_metatable = ffi::lua_getmetatable(state, at) != 0;
        if has_metatable {
            ffi::lua_pop(state, 1);
        }
        for field in [c"__index", c"__newindex", c"__len"].iter().filter(|_| has_metatable) {
            if ffi::luaL_getmetafield(state, at, field.as_ptr()) != ffi::LUA_TNIL {
                ffi::lua_pop(state, 1);
                return None;
            }
        }
        i64::try_from(ffi::lua_rawlen(state, at)).ok()
    }
}

/// Check that matching takes few steps in the worst case: each variable-length item of the pattern
/// multiplies them.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn is_short_match(text: usize, pattern: &[u8]) -> bool {
    const LONG_PATTERN: usize = 10_000;
    if pattern.len() > LONG_PATTERN {
        return false;
    }
    let mut parts = usize::from(pattern.first() != Some(&b'^'));
    // An item at the end matches at its first try, and is not tried again.
    let open = pattern.iter().rposition(|byte| *byte != b')').map_or(0, |last| last + 1);
    let open = &pattern[..open];
    let open = open
        .strip_suffix(b"*")
        .or(open.strip_suffix(b"+"))
        .or(open.strip_suffix(b"-"))
        .unwrap_or(open);
    let mut at = 0;
    while let Some(byte) = open.get(at) {
        match byte {
            b'*' | b'+' | b'-' | b'?' => parts += 1,
            b'%' if pattern.get(at + 1).is_some_and(|c| *c == b'b' || c.is_ascii_digit()) => {
                parts += 1;
            }
            _ => {}
        }
        at += 1;
    }
    let mut steps = if pattern.contains(&b'[') { pattern.len() as f64 } else { 1.0 };
    for part in 1..=parts {
        steps *= (text + part) as f64 / part as f64;
        if steps > MAX_STEPS {
            return false;
        }
    }
    true
}

struct Find;

impl Arguments for Find {
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            let (Some(text), Some(pattern)) = (text(state, 1), text(state, 2)) else { return true };
            let is_plain = ffi::lua_toboolean(state, 4) != 0
                || !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte));
            let is_short = if is_plain {
                text.len() as f64 * pattern.len() as f64 <= MAX_STEPS
            } else {
                is_short_match(text.len(), pattern)
            };
            is_short || whole(state, 3, 1).is_none()
        }
    }
}

/// `match` and `gmatch`.
struct Match;

impl Arguments for Match {
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            let (Some(text), Some(pattern)) = (text(state, 1), text(state, 2)) else { return true };
            is_short_match(text.len(), pattern) || whole(state, 3, 1).is_none()
        }
    }
}

struct Gsub;

impl Arguments for Gsub {
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            let (Some(text), Some(pattern)) = (text(state, 1), text(state, 2)) else { return true };
            let calls = match ffi::lua_type(state, 3) {
                ffi::LUA_TSTRING | ffi::LUA_TNUMBER => false,
                ffi::LUA_TTABLE => plain_length(state, 3).is_none(),
                ffi::LUA_TFUNCTION => ffi::lua_iscfunction(state, 3) != 0,
                _ => return true,
            };
            let is_short = is_short_match(text.len(), pattern)
                && (!calls || i64::try_from(text.len()).is_ok_and(|length| length <= MAX_CALLS));
            is_short || whole(state, 4, 0).is_none()
        }
    }
}

struct Rep;

impl Arguments for Rep {
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            let Some(text) = text(state, 1) else { return true };
            let Some(times) = whole(state, 2, -1).filter(|n| *n > 0) else { return true };
            let separator = if ffi::lua_isnoneornil(state, 3) != 0 {
                0
            } else {
                match self::text(state, 3) {
                    Some(separator) => separator.len(),
                    None => return true,
                }
            };
            let unit = (text.len() + separator) as f64;
            let total = unit * times as f64;
            // A length that is too large is refused before any work is done.
            unit > 0.0 && !(MAX_TEXT..=f64::from(c_int::MAX)).contains(&total)
        }
    }
}

struct Concat;

impl Arguments for Concat {
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            let is_text = ffi::lua_isnoneornil(state, 2) != 0 || ffi::lua_isstring(state, 2) != 0;
            if ffi::lua_type(state, 1) != ffi::LUA_TTABLE || !is_text {
                return true;
            }
            let length = plain_length(state, 1);
            let (Some(from), Some(to)) = (whole(state, 3, 1), whole(state, 4, length.unwrap_or(0)))
            else {
                return true;
            };
            length.is_some() && to.saturating_sub(from) <= MAX_ELEMENTS
        }
    }
}

struct Move;

impl Arguments for Move {
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
                return true;
            }
            let numbers = [2, 3, 4].map(|at| whole(state, at, i64::MIN));
            let [Some(from), Some(to), Some(_)] = numbers else { return true };
            let mut is_plain = plain_length(state, 1).is_some();
            if ffi::lua_isnoneornil(state, 5) == 0 {
                if ffi::lua_type(state, 5) != ffi::LUA_TTABLE {
                    return true;
                }
                is_plain &= plain_length(state, 5).is_some();
            }
            if [2, 3, 4].iter().any(|at| ffi::lua_isnoneornil(state, *at) != 0) {
                return true;
            }
            to.saturating_sub(from) <= if is_plain { MAX_ELEMENTS } else { MAX_CALLS }
        }
    }
}

/// `insert` and `remove`.
struct Insert;

impl Arguments for Insert {
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            ffi::lua_type(state, 1) != ffi::LUA_TTABLE
                || plain_length(state, 1).is_some_and(|length| length <= MAX_ELEMENTS)
        }
    }
}

struct Sort;

impl Arguments for Sort {
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
                return true;
            }
            let is_function = ffi::lua_type(state, 2) == ffi::LUA_TFUNCTION;
            if !is_function && ffi::lua_isnoneornil(state, 2) == 0 {
                return true;
            }
            // A comparator in Lua can be stopped.
            (is_function && ffi::lua_iscfunction(state, 2) == 0)
                || plain_length(state, 1).is_some_and(|length| length <= MAX_SORTED)
        }
    }
}

struct Unpack;

impl Arguments for Unpack {
    unsafe fn are_short(state: *mut lua_State) -> bool {
        // SAFETY: as its contract says.
        unsafe {
            ffi::lua_type(state, 1) != ffi::LUA_TTABLE
                || plain_length(state, 1).is_some()
                || whole(state, 2, 1).is_none()
                || whole(state, 3, 1).is_none()
        }
    }
}

/// Maximum number of captures in a pattern.
const MAX_CAPTURES: usize = 32;
/// Maximum recursion depth of a match, as in Lua.
const MAX_DEPTH: usize = 200;

#[derive(Clone, Copy)]
enum Length {
    Open,
    Position,
    Bytes(usize),
}

/// Value of a capture.
enum CaptureValue<'a> {
    Nil,
    Position(usize),
    Text(&'a [u8]),
}

impl CaptureValue<'_> {
    fn to_lua(&self, lua: &Lua) -> mlua::Result<LuaValue> {
        Ok(match self {
            Self::Nil => LuaValue::Nil,
            Self::Position(at) => LuaValue::Integer(i64::try_from(*at).unwrap_or(i64::MAX)),
            Self::Text(text) => LuaValue::String(lua.create_string(text)?),
        })
    }
}

/// Matcher of Lua's patterns, as its manual describes them.
struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<(usize, Length)>,
    calls: usize,
    steps: u32,
    canceller: &'a Canceller,
}

type Matched<T> = std::result::Result<T, String>;

impl<'a> Matcher<'a> {
    fn new(text: &'a [u8], pattern: &'a [u8], canceller: &'a Canceller) -> Self {
        Self { text, pattern, captures: Vec::new(), calls: 0, steps: 0, canceller }
    }

    /// First match from a position on that does not end where the last one did: its start and end,
    /// from 1, and its captures.
    fn find(
        mut self,
        from: usize,
        last: usize,
        may_be_anchored: bool,
    ) -> Matched<Vec<CaptureValue<'a>>> {
        let is_anchored = may_be_anchored && self.pattern.first() == Some(&b'^');
        let begin = usize::from(is_anchored);
        for at in from..=self.text.len() {
            self.captures.clear();
            if let Some(end) = self.matches(at, begin)?.filter(|end| end + 1 != last) {
                let mut found = vec![CaptureValue::Position(at + 1), CaptureValue::Position(end)];
                for (start, length) in &self.captures {
                    found.push(match length {
                        Length::Open => return Err("unfinished capture".into()),
                        Length::Position => CaptureValue::Position(start + 1),
                        Length::Bytes(length) => {
                            CaptureValue::Text(&self.text[*start..start + length])
                        }
                    });
                }
                return Ok(found);
            }
            if is_anchored {
                break;
            }
        }
        Ok(vec![CaptureValue::Nil])
    }

    fn step(&mut self) -> Matched<()> {
        const CHECK_INTERVAL: u32 = 1 << 14;
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(CHECK_INTERVAL) && self.canceller.reason().is_some() {
            return Err("stopped".into());
        }
        Ok(())
    }

    fn matches(&mut self, s: usize, p: usize) -> Matched<Option<usize>> {
        if self.calls == MAX_DEPTH {
            return Err("pattern too complex".into());
        }
        self.calls += 1;
        let matched = self.matches_here(s, p);
        self.calls -= 1;
        matched
    }

    fn matches_here(&mut self, mut s: usize, mut p: usize) -> Matched<Option<usize>> {
        loop {
            self.step()?;
            let Some(&sign) = self.pattern.get(p) else { return Ok(Some(s)) };
            let next = self.pattern.get(p + 1).copied();
            match (sign, next) {
                (b'(', Some(b')')) => return self.open(s, p + 2, Length::Position),
                (b'(', _) => return self.open(s, p + 1, Length::Open),
                (b')', _) => return self.close(s, p + 1),
                (b'$', None) => return Ok(Some(s).filter(|s| *s == self.text.len())),
                (b'%', Some(b'b')) => {
                    let Some(end) = self.balanced(s, p + 2)? else { return Ok(None) };
                    (s, p) = (end, p + 4);
                    continue;
                }
                (b'%', Some(b'f')) => {
                    p += 2;
                    if self.pattern.get(p) != Some(&b'[') {
                        return Err("missing '[' after '%f' in pattern".into());
                    }
                    let end = self.class_end(p)?;
                    let before = if s == 0 { 0 } else { self.text[s - 1] };
                    let here = self.text.get(s).copied().unwrap_or(0);
                    if self.in_set(before, p, end - 1) || !self.in_set(here, p, end - 1) {
                        return Ok(None);
                    }
                    p = end;
                    continue;
                }
                (b'%', Some(digit)) if digit.is_ascii_digit() => {
                    let Some(end) = self.same_as_capture(s, digit)? else { return Ok(None) };
                    (s, p) = (end, p + 2);
                    continue;
                }
                _ => {}
            }
            let end = self.class_end(p)?;
            let suffix = self.pattern.get(end).copied();
            if !self.is_single(s, p, end) {
                if matches!(suffix, Some(b'*' | b'?' | b'-')) {
                    p = end + 1;
                    continue;
                }
                return Ok(None);
            }
            match suffix {
                Some(b'?') => {
                    if let Some(found) = self.matches(s + 1, end + 1)? {
                        return Ok(Some(found));
                    }
                    p = end + 1;
                }
                Some(b'+') => return self.most(s + 1, p, end),
                Some(b'*') => return self.most(s, p, end),
                Some(b'-') => return self.fewest(s, p, end),
                _ => (s, p) = (s + 1, end),
            }
        }
    }

    fn most(&mut self, s: usize, p: usize, end: usize) -> Matched<Option<usize>> {
        let mut count = 0;
        while self.is_single(s + count, p, end) {
            self.step()?;
            count += 1;
        }
        loop {
            if let Some(found) = self.matches(s + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn fewest(&mut self, mut s: usize, p: usize, end: usize) -> Matched<Option<usize>> {
        loop {
            if let Some(found) = self.matches(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.is_single(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, length: Length) -> Matched<Option<usize>> {
        if self.captures.len() == MAX_CAPTURES {
            return Err("too many captures".into());
        }
        self.captures.push((s, length));
        let found = self.matches(s, p)?;
        if found.is_none() {
            self.captures.pop();
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Matched<Option<usize>> {
        let is_open = |capture: &(usize, Length)| matches!(capture.1, Length::Open);
        let at = self.captures.iter().rposition(is_open).ok_or("invalid pattern capture")?;
        self.captures[at].1 = Length::Bytes(s - self.captures[at].0);
        let found = self.matches(s, p)?;
        if found.is_none() {
            self.captures[at].1 = Length::Open;
        }
        Ok(found)
    }

    fn balanced(&mut self, s: usize, p: usize) -> Matched<Option<usize>> {
        let (Some(&begin), Some(&end)) = (self.pattern.get(p), self.pattern.get(p + 1)) else {
            return Err("malformed pattern (missing arguments to '%b')".into());
        };
        if self.text.get(s) != Some(&begin) {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for at in s + 1..self.text.len() {
            self.step()?;
            if self.text[at] == end {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if self.text[at] == begin {
                depth += 1;
            }
        }
        Ok(None)
    }

    fn same_as_capture(&mut self, s: usize, digit: u8) -> Matched<Option<usize>> {
        let index = usize::from(digit.wrapping_sub(b'1'));
        let wrong = || format!("invalid capture index %{}", index.wrapping_add(1) & 0xff);
        let Some(&(start, length)) = self.captures.get(index) else { return Err(wrong()) };
        let length = match length {
            Length::Open => return Err(wrong()),
            Length::Position => 0,
            Length::Bytes(length) => length,
        };
        self.steps = self.steps.wrapping_add(u32::try_from(length / 64).unwrap_or(0));
        self.step()?;
        let rest = &self.text[s..];
        Ok(rest.starts_with(&self.text[start..start + length]).then_some(s + length))
    }

    /// Position after a class that matches one byte.
    fn class_end(&self, p: usize) -> Matched<usize> {
        let open = || "malformed pattern (missing ']')".to_owned();
        match self.pattern[p] {
            b'%' if p + 1 == self.pattern.len() => {
                Err("malformed pattern (ends with '%')".to_owned())
            }
            b'%' => Ok(p + 2),
            b'[' => {
                let mut at = p + 1;
                if self.pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                // A `]` in the first position is a member of the set.
                loop {
                    let byte = *self.pattern.get(at).ok_or_else(open)?;
                    at += 1;
                    if byte == b'%' {
                        at += 1;
                    }
                    if self.pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    fn is_single(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(s) else { return false };
        match self.pattern[p] {
            b'.' => true,
            b'%' => is_of_class(byte, self.pattern[p + 1]),
            b'[' => self.in_set(byte, p, end - 1),
            own => own == byte,
        }
    }

    /// Check that a byte is in the set between `[` at `p` and `]` at `end`.
    fn in_set(&self, byte: u8, p: usize, end: usize) -> bool {
        let mut at = p + 1;
        let is_in = self.pattern[at] != b'^';
        if !is_in {
            at += 1;
        }
        while at < end {
            let own = self.pattern[at];
            if own == b'%' {
                if is_of_class(byte, self.pattern[at + 1]) {
                    return is_in;
                }
                at += 2;
            } else if self.pattern[at + 1] == b'-' && at + 2 < end {
                if (own..=self.pattern[at + 2]).contains(&byte) {
                    return is_in;
                }
                at += 3;
            } else {
                if own == byte {
                    return is_in;
                }
                at += 1;
            }
        }
        !is_in
    }
}

fn is_of_class(byte: u8, class: u8) -> bool {
    let is_of = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => return class == byte,
    };
    is_of != class.is_ascii_uppercase()
}
