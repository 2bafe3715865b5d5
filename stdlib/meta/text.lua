---@meta text
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Text: splitting, trimming, globs and regular expressions.
---
--- Regular expressions are those of Rust's `regex`: Perl's syntax without look-around and back
--- references. They take linear time. A backslash is written twice in quotes, and once in long
--- brackets: `[[\d+]]`. `(?i)` at the beginning ignores case, `(?m)` makes `^` and `$` match at
--- each line. Lua's own patterns are in `string`.
---
--- ```lua
--- local owner, stage = text.match("ops-prod-web", "^(\\w+)-(\\w+)")
--- assert(owner == "ops" and stage == "prod")
--- assert(table.concat(text.split("a,b,c", ","), " ") == "a b c")
--- assert(text.glob("web-prod-1", "web-*"))
--- ```
---@class text
text = {}

---@class (exact) text.SplitOptions
---@field limit? integer the largest number of pieces; the last one has the rest

--- Splits text at each separator, which is plain text.
---
--- Without a separator it splits at white space, and no piece is empty.
---
--- ```lua
--- assert(#text.split("a,,b", ",") == 3)
--- assert(#text.split("  web   ops ") == 2)
--- assert(text.split("key=a=b", "=", { limit = 2 })[2] == "a=b")
--- ```
---@param s string
---@param separator? string default: white space
---@param options? text.SplitOptions
---@return string[]
function text.split(s, separator, options) end

--- Removes white space at both ends.
---@param s string
---@return string
function text.trim(s) end

--- Splits text into its lines, without their ends (LF or CRLF).
---
--- A line break at the end of the text begins no further line.
---
--- ```lua
--- for at, line in ipairs(text.lines("web\nbatch\n")) do
---   print(at, line)
--- end
--- ```
---@param s string
---@return string[]
function text.lines(s) end

--- Returns true if text begins with a prefix.
---@param s string
---@param prefix string
---@return boolean
function text.starts_with(s, prefix) end

--- Returns true if text ends with a suffix.
---@param s string
---@param suffix string
---@return boolean
function text.ends_with(s, suffix) end

--- Returns true if text has another one in it.
---@param s string
---@param part string
---@return boolean
function text.contains(s, part) end

---@class (exact) text.GlobOptions
---@field ignore_case? boolean upper and lower case are the same. Default: false

--- Returns true if a glob matches the whole text.
---
--- `*` stands for any text, `?` for one character.
---
--- ```lua
--- assert(text.glob("web-prod-1", "web-*-?"))
--- assert(text.glob("Web", "web", { ignore_case = true }))
--- ```
---@param s string
---@param pattern string
---@param options? text.GlobOptions
---@return boolean
function text.glob(s, pattern, options) end

--- Searches for the first match of a regular expression.
---
--- Returns its groups, or the whole match if there are none; nil if nothing matches. A group that
--- is not in the match is nil. If groups have names, as in `(?P<year>\d+)`, the result is one table
--- by these names.
---
--- ```lua
--- local year, month = text.match("created 2026-11-02", "(\\d{4})-(\\d{2})")
--- assert(year == "2026" and month == "11")
--- assert(text.match("web-12", "[0-9]+") == "12")
--- assert(text.match("web:80", "(?P<host>\\w+):(?P<port>\\d+)").port == "80")
--- ```
---@param s string
---@param pattern string
---@return any ... the groups, the match, or nil
function text.match(s, pattern) end

--- Returns all matches of a regular expression that do not overlap: an array of texts.
---
--- If the pattern has groups, it is an array of arrays of their texts, and empty text stands for a
--- group that is not in the match. If groups have names, it is an array of tables by these names.
---
--- ```lua
--- assert(#text.match_all("a1 b22", "[0-9]+") == 2)
--- for _, pair in ipairs(text.match_all("a=1 b=2", "(\\w)=(\\d)")) do
---   print(pair[1], pair[2])
--- end
--- ```
---@param s string
---@param pattern string
---@return any[]
function text.match_all(s, pattern) end

---@class (exact) text.ReplaceOptions
---@field limit? integer the largest number of replacements. Default: all
---@field plain? boolean the pattern and the replacement are plain text. Default: false

--- Replaces the matches of a regular expression.
---
--- In the replacement, `$1` and `${name}` stand for groups, `$0` for the match, and `$$` for a
--- dollar sign. A function gets what `text.match` returns; if it returns nil, the match stays.
---
--- ```lua
--- assert(text.replace("2026-11-02", "(\\d+)-(\\d+)-(\\d+)", "$3.$2.$1") == "02.11.2026")
--- assert(text.replace("a.b.c", ".", "/", { plain = true }) == "a/b/c")
--- assert(text.replace("web ops", "\\w+", string.upper) == "WEB OPS")
--- ```
---@param s string
---@param pattern string
---@param with string|fun(...: any): string?
---@param options? text.ReplaceOptions
---@return string
function text.replace(s, pattern, with, options) end

--- Makes a regular expression of plain text, in which no character is special.
---
--- ```lua
--- assert(text.match("a.b", "^" .. text.escape("a.b") .. "$"))
--- ```
---@param s string
---@return string
function text.escape(s) end

return text
