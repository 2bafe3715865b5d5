-- Tests of report: the same rows as a table, JSON, JSON lines and CSV.

local run_script = require("script")
local ROWS = [[
local rows = {
  { name = "web", path = "/ec2/", count = 12, tags = { Team = "web", Owner = "ops" } },
  { name = "batch", path = "/", role = "r", count = 7 },
}
]]

local function run(code, format)
  local args = format and { "--output=" .. format } or {}
  return run_script("{dir}/main.lua", args, { ["main.lua"] = code })
end

local function prints(code, format, wanted, wanted_err)
  local ran = run(code, format)
  assert(ran.code == 0, ran.stderr)
  assert(ran.stdout == wanted, ("printed\n%s\nand not\n%s"):format(ran.stdout, wanted))
  assert(wanted_err == nil or ran.stderr == wanted_err, ran.stderr)
end

local COLUMNS =
  [[report(rows, { columns = { "name", "role", { key = "tags.Owner", title = "Owner of it" }, "count" } })]]

it("a table for people: headings, dashes, numbers to the right", function()
  prints(
    ROWS .. COLUMNS,
    nil,
    "NAME   ROLE  Owner of it  COUNT\n"
      .. "web    -     ops             12\n"
      .. "batch  r     -                7\n",
    ""
  )
end)

it("JSON has the raw values, in the order of the columns", function()
  prints(
    ROWS .. COLUMNS,
    "json",
    '[\n  {"name":"web","role":null,"tags.Owner":"ops","count":12},\n'
      .. '  {"name":"batch","role":"r","tags.Owner":null,"count":7}\n]\n'
  )
  prints(
    ROWS .. COLUMNS,
    "jsonl",
    '{"name":"web","role":null,"tags.Owner":"ops","count":12}\n{"name":"batch","role":"r","tags.Owner":null,"count":7}\n'
  )
end)

it("CSV has the keys as headings and nothing for nil", function()
  prints(ROWS .. COLUMNS, "csv", "name,role,tags.Owner,count\nweb,,ops,12\nbatch,r,,7\n")
end)

it("CSV quotes what needs it and keeps the text as it is", function()
  prints(
    [[report({ { name = 'a "b", c', note = "two\nlines" } })]],
    "csv",
    'name,note\n"a ""b"", c","two\nlines"\n'
  )
end)

it("without columns: every key of all rows, name first", function()
  prints(
    ROWS .. "report(rows)",
    nil,
    "NAME   COUNT  PATH   ROLE  TAGS\n"
      .. "web       12  /ec2/  -     Owner=ops, Team=web\n"
      .. "batch      7  /      r     -\n"
  )
  prints(
    ROWS .. "report(rows)",
    "csv",
    'name,count,path,role,tags\nweb,12,/ec2/,,"Owner=ops, Team=web"\nbatch,7,/,r,\n'
  )
  prints(
    ROWS .. "report(rows)",
    "jsonl",
    '{"name":"web","count":12,"path":"/ec2/","tags":{"Owner":"ops","Team":"web"}}\n'
      .. '{"name":"batch","count":7,"path":"/","role":"r"}\n'
  )
end)

it("records and arrays in a cell are short", function()
  prints(
    [[report({ { a = { "x", 2, true }, b = { { name = "r1", id = 1 }, { name = "r2" } }, c = { name = "n", x = 1 }, d = json.null,
      e = require("arn").parse("arn:aws:s3:::b"), f = {}, g = { { { { { 1 } } } } } } })]],
    nil,
    "A           B       C  D  E               F  G\nx, 2, true  r1, r2  n  -  arn:aws:s3:::b  -  { 1 }\n"
  )
end)

it("the profiles of the account, straight from the iterator", function()
  local ran = run("report(iam.profiles.each { path_prefix = '/ec2/web/' })")
  assert(ran.code == 0, ran.stderr)
  assert(ran.stdout:match("^NAME +ARN +CREATE DATE +ID +PATH +ROLE +ROLES\n"), ran.stdout)
  assert(ran.stdout:find("\nweb%-frontend +arn:.- web%-frontend +web%-frontend\n"), ran.stdout)
  local rows = json.decode(run("report(iam.profiles.each())", "json").stdout)
  assert(#rows == 24 and rows[1].arn and rows[1].roles)
end)

it("no rows are valid in every format", function()
  local code = "report({}, { columns = { 'name', 'path' } })"
  prints(code, nil, "", "nothing to report\n")
  prints(code, "json", "[]\n", "")
  prints(code, "jsonl", "", "")
  prints(code, "csv", "name,path\n", "")
  prints("report(function() end)", nil, "", "nothing to report\n")
  prints("report(function() end)", "json", "[]\n", "")
  prints("report({})", "csv", "", "")
end)

it("values are made by functions, titles and sides are free", function()
  local code = [[report({ { n = 5 }, { n = 50 } }, { columns = {
    { title = "SQUARE", value = function(row) return row.n * row.n end, align = "left" },
    { key = "n", title = "N", value = function(row) return "<" .. row.n .. ">" end, align = "right" },
  } })]]
  prints(code, nil, "SQUARE     N\n25       <5>\n2500    <50>\n")
  prints(code, "jsonl", '{"SQUARE":25,"n":"<5>"}\n{"SQUARE":2500,"n":"<50>"}\n')
  prints(code, "csv", "SQUARE,n\n25,<5>\n2500,<50>\n")
end)

it("keys reach into tables, also those with dots in them", function()
  local row =
    "{ tags = { ['my.key'] = 'a', my = { other = 'b' } }, ['x.y'] = 'c', x = { y = 'd' } }"
  local columns =
    "{ columns = { 'tags.my.key', 'tags.my.other', 'x.y', 'tags.none', 'none.at.all' }, format = 'csv' }"
  prints(
    "report({ " .. row .. " }, " .. columns .. ")",
    nil,
    "tags.my.key,tags.my.other,x.y,tags.none,none.at.all\na,b,c,,\n"
  )
end)

it("one call can have its own format", function()
  prints(
    ROWS .. "report(rows, { format = 'csv', columns = { 'name' } })",
    "json",
    "name\nweb\nbatch\n"
  )
end)

it("nothing in a cell reaches the terminal, and JSON and CSV keep it", function()
  local code = [[report({ { name = "a\27[31m\nb" } })]]
  prints(code, nil, "NAME\na\\x1b[31m\\nb\n")
  prints(code, "jsonl", '{"name":"a\\u001b[31m\\nb"}\n')
  prints(code, "csv", 'name\n"a\27[31m\nb"\n')
end)

it("rows are written while the iterator still runs", function()
  local code = [[
    local n = 0
    report(function()
      n = n + 1
      if n == 3 then iam.profiles.get("no-such-profile") end
      return { name = "row" .. n }
    end, { columns = { "name" } })]]
  local wanted = {
    json = '[\n  {"name":"row1"},\n  {"name":"row2"}',
    jsonl = '{"name":"row1"}\n{"name":"row2"}\n',
    csv = "name\nrow1\nrow2\n",
    table = "NAME\nrow1\nrow2\n",
  }
  for format, text in pairs(wanted) do
    local ran = run(code, format ~= "table" and format or nil)
    assert(ran.code == 1 and ran.stderr:find("NoSuchEntity", 1, true), ran.stderr)
    assert(ran.stdout == text, format .. ": " .. ran.stdout)
  end
end)

it("one record: a line for each field, or one object", function()
  local code = "report.record({ name = 'web', tags = { Owner = 'ops' }, create_date = '2026' })"
  prints(code, nil, "NAME         web\nCREATE DATE  2026\nTAGS         Owner=ops\n")
  prints(code, "json", '{"name":"web","create_date":"2026","tags":{"Owner":"ops"}}\n')
  prints(code, "csv", "name,create_date,tags\nweb,2026,Owner=ops\n")
  prints(
    "report.record({ name = 'web' }, { columns = { 'role', 'name' } })",
    nil,
    "ROLE  -\nNAME  web\n"
  )
end)

local BARS =
  [[report({ { name = "a", n = 8 }, { name = "bb", n = 1 }, { name = "c", n = 0 }, { name = "d" } },
  { columns = { "name", { key = "n", title = "PROFILES", bar = true } } })]]

it("numbers have bars beside them in a table, and are numbers elsewhere", function()
  local full = ("█"):rep(40)
  prints(
    BARS,
    nil,
    "NAME  PROFILES\na     8  " .. full .. "\nbb    1  █████\nc     0\nd     -\n"
  )
  prints(BARS, "csv", "name,n\na,8\nbb,1\nc,0\nd,\n")
end)

it(
  "bars have eighths, show the least number, and leave room for what stands beside them",
  function()
    local long = ("x"):rep(60)
    prints(
      ("report({ { name = '%s', n = 1000 }, { name = 'b', n = 1 }, { name = 'c', n = 510 } }, "):format(
        long
      ) .. "{ columns = { 'name', { key = 'n', bar = true } } })",
      nil,
      "NAME"
        .. (" "):rep(58)
        .. "N\n"
        .. long
        .. "  1000  ████████████\n"
        .. "b"
        .. (" "):rep(61)
        .. "   1  ▏\n"
        .. "c"
        .. (" "):rep(61)
        .. " 510  ██████▏\n"
    )
    -- Without any room for bars, the numbers stay.
    prints(
      ("report({ { name = '%s', n = 7 } }, { columns = { 'name', { key = 'n', bar = true } } })"):format(
        ("x"):rep(80)
      ),
      nil,
      "NAME" .. (" "):rep(78) .. "N\n" .. ("x"):rep(80) .. "  7\n"
    )
  end
)

it("rows in groups are tables of their own, and a column in data", function()
  local code =
    [[report({ { by = "path", name = "/", n = 3 }, { by = "path", name = "/ec2/", n = 12 }, { by = "month", name = "2026-01", n = 1 } },
    { group = "by", columns = { "by", "name", "n" } })]]
  prints(code, nil, "PATH    N\n/       3\n/ec2/  12\n\nMONTH    N\n2026-01  1\n")
  prints(code, "csv", "by,name,n\npath,/,3\npath,/ec2/,12\nmonth,2026-01,1\n")
end)

it("a note goes to standard error in any format", function()
  prints("report.note('one\\ntwo\\27 C:\\\\new')", "json", "", "one\ntwo\\x1b C:\\new\n")
end)

it("a page has bars and tables, and no markup of others", function()
  local evil = "<b>&\"'\u{202e}\27[2J"
  local page = report.page {
    title = "Of " .. evil,
    notes = { "First " .. evil, "Second." },
    sections = {
      { title = "Quota", quota = { used = 12, total = 48, unit = "things" } },
      {
        title = "By path",
        rows = {
          { name = evil, create_date = "2026", n = 1234567 },
          { name = "b", n = 0 },
          { name = "c", n = 1.5 },
        },
        columns = { "name", "create_date", { key = "n", bar = true } },
      },
      { title = "All keys", rows = iam.profiles.each { path_prefix = "/none/" } },
      { title = "Numbers", rows = { { name = "x", n = 2026 } } },
    },
  }
  expect(page):to_match("^<!DOCTYPE html>\n<html lang=\"en\">")
  expect(page):to_match("</html>\n$")
  local shown = "&lt;b&gt;&amp;&quot;&#39;\\u{202e}\\x1b[2J"
  for _, wanted in ipairs {
    "<title>Of " .. shown .. " · iamlua</title>",
    "<h1>Of " .. shown .. "</h1>",
    "<p>First " .. shown .. "</p><p>Second.</p>",
    "<h2>Quota</h2><p>12 of 48 things are used.</p>",
    '<rect class="used" width="250" height="10">',
    "12 used (25.0 %)",
    "36 free (75.0 %)",
    "<caption>By path</caption>",
    '<th scope="col" role="columnheader" class="text">Create date</th>',
    '<th scope="row" role="rowheader"><div>' .. shown .. "</div></th>",
    '<span class="count">1,234,567</span>',
    '<rect class="used" width="1000" height="10">',
    '<span class="count">0</span>',
    '<rect class="used" width="0" height="10">',
    '<span class="count">1.5</span>',
    '<rect class="used" width="4" height="10">',
    "<h2>All keys</h2><p>Nothing to report.</p>",
    'class="number" data-title="N"><div>2026</div>',
    "Created " .. time.now():sub(1, 4),
  } do
    expect(page):to_contain(wanted)
  end
  for _, unwanted in ipairs { "<b>", "\u{202e}", "\27", "<script", " style=", "http:", "https:" } do
    expect(page):never():to_contain(unwanted)
  end
end)

it("wrong arguments are refused", function()
  local function refuses(part, f, ...)
    local _, err = try(f, ...)
    assert(err and err.kind == "argument", tostring(err))
    assert(err.message:find(part, 1, true), err.message)
    return err
  end
  refuses("report: the rows must be an array or an iterator, got nil", report)
  refuses("report: the rows must be an array or an iterator, got string", report, "x")
  local hint = refuses("got one record", report, { name = "x" }).hint
  assert(hint == "report.record writes one record", hint)
  refuses("row 1 must be a table, got string", report, { "x" }, { format = "csv" })
  refuses("row 1 must be a table, got number", report, function()
    return 1
  end, { format = "jsonl" })
  assert(refuses("no option", report, {}, { colums = {} }).hint == "did you mean 'columns'?")
  assert(refuses('no format "cvs"', report, {}, { format = "cvs" }).hint == "did you mean 'csv'?")
  refuses("columns must be an array, got string", report, {}, { columns = "name" })
  refuses("at least one column", report, {}, { columns = {} })
  refuses("column 2 must be a name or a table, got number", report, {}, { columns = { "a", 1 } })
  refuses(
    "column 1 needs a key, or a title and a value",
    report,
    {},
    { columns = { { title = "X" } } }
  )
  refuses("column 1: there is no option", report, {}, { columns = { { kye = "x" } } })
  refuses(
    'align must be "left" or "right", got "center"',
    report,
    {},
    { columns = { { key = "x", align = "center" } } }
  )
  refuses("bar must be true or false, got 1", report, {}, { columns = { { key = "x", bar = 1 } } })
  refuses("group must name a column, got boolean", report, {}, { group = true })
  refuses(
    "value must be a function, got string",
    report,
    {},
    { columns = { { key = "x", value = "x" } } }
  )
  refuses('column "f": JSON has no functions', report, { { f = print } }, { format = "json" })
  refuses("report.record: the record must be a table, got nil", report.record, nil)
  refuses("report.note: the text must be a string, got nil", report.note, nil)
  for _, case in ipairs {
    { nil, "report.page: the page must be a table, got nil" },
    { {}, "report.page: title must be a string, got nil" },
    { { title = "x", rows = {} }, "there is no option" },
    { { title = "x", notes = "y" }, "notes must be an array, got string" },
    { { title = "x", notes = { 1 } }, "note 1 must be a string, got number" },
    { { title = "x", sections = 1 }, "sections must be an array, got number" },
    { { title = "x", sections = { "y" } }, "section 1: it must be a table, got string" },
    { { title = "x", sections = { {} } }, "section 1: title must be a string, got nil" },
    { { title = "x", sections = { { title = "y", rows = 1 } } }, "section 1: the rows must be" },
    {
      { title = "x", sections = { { title = "y", quota = 1 } } },
      "section 1: quota must be a table, got number",
    },
    {
      { title = "x", sections = { { title = "y", quota = { used = -1, total = 1 } } } },
      "quota: used must be an integer from 0, got -1",
    },
    {
      { title = "x", sections = { { title = "y", quota = { used = 1, total = "2" } } } },
      'quota: total must be an integer from 0, got "2"',
    },
  } do
    refuses(case[2], report.page, case[1])
  end
end)

it("a report goes to a file, in the format of its ending", function()
  local folder = temp_folder {}
  local rows = { { name = "a<b", n = 1 }, { name = "c", n = 2 } }
  local function written(name, options)
    options.file = folder .. "/" .. name
    report(rows, options)
    return fs.read(options.file)
  end
  assert(written("x.csv", {}) == "name,n\na<b,1\nc,2\n")
  assert(written("x.JSONL", {}):find('{"name":"a<b","n":1}\n', 1, true) == 1)
  assert(#json.decode(written("x.json", {})) == 2)
  assert(written("x.txt", { format = "csv" }):find("name,n\n", 1, true) == 1)
  assert(written("x.txt", { format = "table" }):find("a<b", 1, true))
  local columns = { "name", { key = "n", bar = true } }
  local page = written("x.html", { title = "T & U", columns = columns })
  assert(page:find("<h1>T &amp; U</h1>", 1, true) and page:find("a&lt;b", 1, true), page)
  assert(page:find("<svg", 1, true) and not page:find("a<b", 1, true))
  page = written("y.htm", { group = "name" })
  assert(page:find("<h2>a&lt;b</h2>", 1, true) and page:find("<h2>c</h2>", 1, true), page)
  report({}, { file = folder .. "/empty.html" })
  assert(fs.read(folder .. "/empty.html"):find("Nothing to report.", 1, true))
  report.record({ name = "x<y", n = 5 }, { file = folder .. "/one.html", title = "One" })
  page = fs.read(folder .. "/one.html")
  assert(page:find("<h1>One</h1>", 1, true) and page:find("x&lt;y", 1, true), page)
end)

it("a file is not written after a failure, nor without a permission", function()
  local folder = temp_folder { ["x.csv"] = "before" }
  local rows = { { name = "a" } }
  local function failing()
    return table.remove(rows) or error("gone", 0)
  end
  assert(not pcall(report, failing, { file = folder .. "/x.csv" }))
  assert(fs.read(folder .. "/x.csv") == "before")
  local read = 0
  local _, err = try(report, function()
    read = read + 1
  end, { file = "/nowhere/x.csv" })
  assert(err.kind == "permission" and read == 0, tostring(err))
  for _, case in ipairs {
    { { file = 1 }, "file must be a string, got number" },
    { { title = {} }, "title must be a string, got table" },
  } do
    _, err = try(report, {}, case[1])
    assert(err.kind == "argument" and err.message:find(case[2], 1, true), tostring(err))
  end
end)
