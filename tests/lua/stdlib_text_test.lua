-- Tests of text: splitting, globs, and regular expressions.

local function refuses(part, hint, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted")
  assert(err.kind == "argument", err.kind .. ": " .. tostring(err))
  assert(err.message:find(part, 1, true), err.message)
  assert(not hint or (err.hint and err.hint:find(hint, 1, true)), err.hint)
end

local function is(value, ...)
  local wanted = { ... }
  local shown = json.encode(json.array(value))
  assert(shown == json.encode(json.array(wanted)), shown)
end

it("text is split at a plain separator, or at white space", function()
  is(text.split("a,b,,c", ","), "a", "b", "", "c")
  is(text.split("", ","), "")
  is(text.split(",", ","), "", "")
  is(text.split("a.b", "."), "a", "b")
  is(text.split("a--b--c", "--", { limit = 2 }), "a", "b--c")
  is(text.split("a,b", ",", { limit = 1 }), "a,b")
  is(text.split("  web \t ops\n"), "web", "ops")
  is(text.split("  a  b  c ", nil, { limit = 2 }), "a", "b  c")
  is(text.split("   "))
  is(text.split("\0a\0", "\0"), "", "a", "")
  assert(#text.split(("x,"):rep(100000), ",") == 100001)
end)

it("lines are without their ends", function()
  is(text.lines("a\nb\n"), "a", "b")
  is(text.lines("a\r\n\r\nb"), "a", "", "b")
  is(text.lines("a\rb\r"), "a\rb\r")
  is(text.lines(""))
  is(text.lines("\n"), "")
end)

it("ends are trimmed and compared", function()
  assert(text.trim("  a b \n") == "a b" and text.trim("") == "" and text.trim(" \t") == "")
  assert(#text.trim((" "):rep(200000) .. "x" .. (" "):rep(200000)) == 1)
  assert(text.starts_with("web-1", "web") and not text.starts_with("we", "web"))
  assert(text.starts_with("", "") and text.ends_with("x", "") and text.ends_with("a.lua", ".lua"))
  assert(
    not text.ends_with("a", "ba") and text.contains("a.b", ".") and not text.contains("ab", ".")
  )
end)

it("a glob matches the whole text", function()
  assert(text.glob("web-prod-1", "web-*") and text.glob("web", "web") and text.glob("", "*"))
  assert(not text.glob("my-web", "web") and not text.glob("web", "we") and text.glob("a/b", "a*b"))
  assert(text.glob("w\u{e9}b", "w?b") and not text.glob("Web", "web"))
  assert(text.glob("Web", "wEB", { ignore_case = true }))
  refuses("text.glob: the pattern has 2000 bytes", nil, text.glob, "x", ("*a"):rep(1000))
  refuses("text.glob: the text has", nil, text.glob, ("a"):rep(100000), "*")
  refuses("must be true or false, got string", nil, text.glob, "a", "a", { ignore_case = "yes" })
end)

it("match returns groups, the match, or a table of named groups", function()
  local year, month = text.match("on 2026-11-02", [[(\d+)-(\d+)]])
  assert(year == "2026" and month == "11")
  assert(text.match("web-12", [[\d+]]) == "12" and text.match("web", [[\d]]) == nil)
  assert(select("#", text.match("ab", "(a)(x)?(b)?")) == 3)
  local a, x, b = text.match("ab", "(a)(x)?(b)?")
  assert(a == "a" and x == nil and b == "b")
  local url = text.match(
    "https://example.com:80/",
    [[(?P<scheme>\w+)://(?<host>[^:/]+)(:(?P<port>\d+))?]]
  )
  assert(url.scheme == "https" and url.host == "example.com" and url.port == "80")
  assert(text.match("X", "(?i)x") == "X" and text.match("\u{c9}", "(?i)\u{e9}") == "\u{c9}")
  assert(text.match("a\nb", "(?m)^b$") == "b" and text.match("", "") == "")
  assert(text.match("\u{e9}a", "^.a") == "\u{e9}a", "a character is one")
  assert(text.match("\xffab\0", "ab.") == "ab\0", "any bytes")
end)

it("match_all returns all matches", function()
  is(text.match_all("a1 b22 c", "[0-9]+"), "1", "22")
  is(text.match_all("", "x"))
  is(text.match_all("", "x*"), "")
  is(text.match_all("\u{e9}b", ""), "", "", "")
  is(text.match_all("aXbX", "[a-z]*"), "a", "b", "")
  is(text.match_all("a=1 b=", "(\\w)=(\\d)?"), { "a", "1" }, { "b", "" })
  local named = text.match_all("a=1 b=", "(?P<key>\\w)=(?P<value>\\d)?")
  assert(#named == 2 and named[1].value == "1" and named[2].value == nil)
  local many = text.match_all(("web-1 "):rep(5000), [[\w+-(\d)]])
  assert(#many == 5000 and many[5000][1] == "1")
end)

it("replace takes groups or a function", function()
  local made = table.pack(text.replace("2026-11-02", [[(\d+)-(\d+)-(\d+)]], "$3.$2.${1}"))
  assert(made[1] == "02.11.2026" and made.n == 1)
  assert(text.replace("ab", "(?P<x>a)", "[$x][${x}][$0][$$]") == "[a][a][a][$]b")
  assert(text.replace("aaa", "a", "b", { limit = 2 }) == "bba")
  assert(text.replace("a.b", ".", "$1", { plain = true }) == "a$1b")
  assert(text.replace("abc", "x*", "-") == "-a-b-c-", text.replace("abc", "x*", "-"))
  assert(text.replace("\u{e9}", "", "-") == "-\u{e9}-")
  assert(text.replace("ab", "(a)(x)?", "<$2>") == "<>b")
  assert(text.replace("web ops", [[\w+]], string.upper) == "WEB OPS")
  assert(text.replace("a1b2", [[(\w)(\d)]], function(letter, digit)
    return digit ~= "1" and digit .. letter or nil
  end) == "a12b")
  local slow = text.replace("a b", [[\w]], function(word)
    time.sleep(0)
    return iam.profiles.find("no-such") == nil and word .. word
  end)
  assert(slow == "aa bb", slow)
  assert(
    text.escape("a.b*[x]") == "a\\.b\\*\\[x\\]" and text.match("a-b&c~#", text.escape("a-b&c~#"))
  )
end)

it("a wrong pattern is shown with the place of the fault", function()
  refuses(
    'text.match: the pattern "a(b" is not a regular expression: unclosed group, at character 2',
    nil,
    text.match,
    "x",
    "a(b"
  )
  refuses("at character 5", "text.escape", text.match_all, "x", "\u{e9}a**[")
  refuses("look", nil, text.match, "x", "(?=x)")
  refuses("text.replace: the pattern", nil, text.replace, "x", "[", "y")
  refuses("is too large", "repeat less", text.match, "x", "((a{100}){100}){100}")
  refuses("more than 64 KiB", nil, text.match, "x", ("a"):rep(70000))
  refuses("nest", nil, text.match, "x", ("("):rep(1000) .. (")"):rep(1000))
  refuses("the pattern is not UTF-8", nil, text.match, "x", "\xff")
  refuses("has no group \"2\"", "$$", text.replace, "x", "(x)", "$2")
  refuses("has no group \"1x\"", "${1}x", text.replace, "x", "(x)", "$1x")
  refuses("$ must be followed by a group", "$$", text.replace, "x", "(x)", "5 $")
end)

it("wrong arguments are refused", function()
  refuses("text.split: the text must be a string, got nil", nil, text.split, nil)
  refuses("separator is empty", nil, text.split, "a", "")
  refuses("limit must be an integer from 1, got 0", nil, text.split, "a", ",", { limit = 0 })
  refuses("no option", "did you mean 'limit'?", text.split, "a", ",", { limt = 1 })
  refuses("text.trim: the text must be a string, got number", nil, text.trim, 1)
  refuses("the pattern must be a string, got nil", nil, text.match, "a")
  refuses(
    "the replacement must be a string or a function, got table",
    nil,
    text.replace,
    "a",
    "a",
    {}
  )
  refuses("must return a string or nil, got table", nil, text.replace, "a", "a", function()
    return {}
  end)
  refuses("the text to replace is empty", nil, text.replace, "a", "", "b", { plain = true })
end)
