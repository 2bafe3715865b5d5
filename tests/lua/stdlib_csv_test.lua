-- Tests of csv: text to rows and back, and what names the line of a fault.

local function refuses(part, hint, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted")
  assert(err.kind == "argument", err.kind)
  assert(err.message:find(part, 1, true), err.message)
  assert(not hint or (err.hint and err.hint:find(hint, 1, true)), err.hint)
end

local function same(value, json_text)
  local text = json.encode(value)
  assert(text == json_text, text)
end

it("text becomes rows by the names of the columns, or arrays", function()
  local rows = csv.decode("name,team\nweb,ops\nbatch,\n", { header = true })
  same(rows, '[{"name":"web","team":"ops"},{"name":"batch","team":""}]')
  rows = csv.decode("a,b\nc,d")
  same(rows, '[["a","b"],["c","d"]]')
  same(csv.columns("name,team\nragged\n"), '["name","team"]')
  same(csv.columns("name;team", { separator = ";" }), '["name","team"]')
  same(csv.columns(""), "[]")
  same(csv.decode(""), "[]")
  same(csv.decode("", { header = true }), "[]")
  same(csv.decode("name\n", { header = true }), "[]")
  same(csv.decode("\n\r\n\n"), "[]")
  same(csv.decode("x"), '[["x"]]')
  same(csv.decode("x\n"), '[["x"]]')
end)

it("quotes, line ends, separators and byte-order marks are understood", function()
  same(csv.decode('"a, b","c ""d""","e\nf"\n'), '[["a, b","c \\"d\\"","e\\nf"]]')
  same(
    csv.decode("\u{FEFF}name;n\r\nweb;1\r\n", { header = true, separator = ";" }),
    '[{"n":"1","name":"web"}]'
  )
  same(csv.decode("a\tb\r\n\r\nc\td\r", { separator = "\t" }), '[["a","b"],["c","d"]]')
  same(csv.decode("axb\ncxd", { separator = "x" }), '[["a","b"],["c","d"]]')
  same(csv.decode('""'), '[[""]]')
  same(csv.decode('a,""\r'), '[["a",""]]')
  assert(csv.decode("\xff,\0")[1][1] == "\xff" and csv.decode("\xff,\0")[1][2] == "\0")
end)

it("a fault names its line", function()
  refuses(
    "csv.decode: line 3: it has 2 fields, but the heading has 3",
    "in quotes",
    csv.decode,
    "a,b,c\n1,2,3\n4,5\n",
    { header = true }
  )
  refuses("line 6: it has 1 field, but", nil, csv.decode, 'a,b\n\n"x\ny",z\r\n\nlast\n')
  refuses("line 3: it has 3 fields, but the first row has 2", nil, csv.decode, "a,b\rc,d\re,f,g")
  refuses(
    'line 1: columns 1 and 3 have the same name, "id"',
    nil,
    csv.decode,
    "id,name,id\n",
    { header = true }
  )
  refuses("line 2: column 2 has no name", nil, csv.decode, "\na,,c\n", { header = true })
  refuses("line 2: a quoted field has no closing quote", nil, csv.decode, 'a\n"b\nc\nd\n')
  refuses("line 1: a quoted field has no closing quote", nil, csv.decode, '"')
  refuses("line 1: a quoted field has no closing quote", nil, csv.decode, '"a""')
  refuses("the text is UTF-16", "UTF-8", csv.decode, "\xff\xfea\0")
  refuses("more than 16384 fields", nil, csv.decode, (","):rep(20000))
end)

it("rows become text, and are read back", function()
  local rows = {
    { name = "b", n = 1.5 },
    { name = 'q "x"', ok = true },
    { name = "a\nb", n = json.null },
  }
  local text = csv.encode(rows)
  assert(text == 'name,n,ok\nb,1.5,\n"q ""x""",,true\n"a\nb",,\n', text)
  local back = csv.decode(text, { header = true })
  assert(back[3].name == "a\nb" and back[1].n == "1.5" and back[2].ok == "true")
  local options = { columns = { "n", "name" }, header = false, separator = ";" }
  assert(csv.encode(rows, options) == '1.5;b\n;"q ""x"""\n;"a\nb"\n')
  assert(csv.encode({ { "a,b", 2 }, { "", "" } }) == '"a,b",2\n,\n')
  assert(csv.encode({ { "" } }) == '""\n' and csv.decode('""\n')[1][1] == "")
  assert(csv.encode {} == "" and csv.encode({}, { columns = { "a" } }) == "a\n")
  local decoded = csv.decode("z,a\n1,2\n", { header = true })
  assert(csv.encode(decoded, { columns = csv.columns("z,a\n1,2\n") }) == "z,a\n1,2\n")
end)

it("what is no row or no field is refused by name", function()
  refuses(
    'csv.encode: row 2: "tags" is a table',
    "json.encode",
    csv.encode,
    { { tags = "x" }, { tags = {} } }
  )
  local loop = {}
  loop.self = loop
  refuses('"self" is a table', nil, csv.encode, { loop })
  refuses("row 1 must be a table, got string", nil, csv.encode, { "x" })
  refuses("got one record", "{ row }", csv.encode, { name = "x" })
  refuses("some rows are arrays", nil, csv.encode, { { "x" }, { a = 1 } })
  refuses("row 2 has 0 fields", nil, csv.encode, { { "x" }, {} })
  refuses("columns name fields", nil, csv.encode, { { "x" } }, { columns = { "a" } })
  refuses("column 2 is there twice", nil, csv.encode, {}, { columns = { "a", "a" } })
  refuses("column 1 must be a name, got number", nil, csv.encode, {}, { columns = { 1 } })
  refuses("at least one", nil, csv.encode, {}, { columns = {} })
end)

it("wrong arguments are refused", function()
  refuses("csv.decode: the text must be a string, got nil", nil, csv.decode, nil)
  refuses("csv.columns: the text must be a string, got nil", nil, csv.columns, nil)
  refuses("csv.columns: line 1: column 2 has no name", nil, csv.columns, "a,,b")
  refuses("must be a string, got table", nil, csv.decode, {})
  refuses("no option", "did you mean 'header'?", csv.decode, "", { headers = true })
  refuses("header must be true or false, got string", nil, csv.decode, "", { header = "yes" })
  for _, separator in ipairs { "", ";;", "\n", '"', "\u{e9}", "\r" } do
    refuses("separator cannot be", "one character", csv.decode, "", { separator = separator })
    refuses("separator cannot be", "one character", csv.encode, {}, { separator = separator })
  end
  refuses("separator must be a string, got number", nil, csv.decode, "", { separator = 1 })
  refuses("the rows must be an array of tables, got nil", nil, csv.encode, nil)
end)

it("a long text is read", function()
  local line = "web-0123456789,ops,eu-central-1\n"
  local rows = csv.decode("name,team,region\n" .. line:rep(50000), { header = true })
  assert(#rows == 50000 and rows[50000].region == "eu-central-1")
end)

it("any rows are read back as they were written, and any text is read or refused", function()
  local pieces = { "a", ",", ";", '"', '""', "\n", "\r", "\r\n", " ", "\0", "\u{e9}", "\xff", "" }
  local function random_text(most)
    local words = {}
    for i = 1, math.random(0, most) do
      words[i] = pieces[math.random(#pieces)]
    end
    return table.concat(words)
  end
  math.randomseed(7)
  for _ = 1, 500 do
    local rows, width = {}, math.random(1, 4)
    for at = 1, math.random(1, 4) do
      rows[at] = {}
      for column = 1, width do
        rows[at][column] = random_text(5)
      end
    end
    local separator = math.random(2) == 1 and "," or ";"
    local written = csv.encode(rows, { separator = separator })
    local back = csv.decode(written, { separator = separator })
    assert(#back == #rows, inspect(written))
    for at, row in ipairs(rows) do
      for column = 1, width do
        assert(back[at][column] == row[column], inspect(written))
      end
    end
    local _, err = try(csv.decode, random_text(30), { header = math.random(2) == 1 })
    assert(not err or err.kind == "argument" and err.message:find("^csv%.decode: line %d+: "), err)
  end
end)
