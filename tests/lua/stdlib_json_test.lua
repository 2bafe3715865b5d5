-- Tests of json: text to values and back, and values that JSON lacks.

local function refuses(part, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted")
  assert(err.kind == "argument", err.kind)
  assert(err.message:find(part, 1, true), err.message)
  return err
end

it("values become text with sorted keys", function()
  local text = json.encode { b = 1, a = { true, false }, c = { x = '\u{e9}\n"\\' }, d = 1.5 }
  assert(text == '{"a":[true,false],"b":1,"c":{"x":"\u{e9}\\n\\"\\\\"},"d":1.5}', text)
  assert(json.encode(nil) == "null" and json.encode(json.null) == "null")
  assert(json.encode(math.maxinteger) == "9223372036854775807")
  assert(json.encode("") == '""' and json.encode(false) == "false")
end)

it("an empty table is an object unless it is marked", function()
  assert(json.encode {} == "{}")
  assert(json.encode(json.array()) == "[]")
  assert(json.encode(json.array {}) == "[]")
  assert(json.encode { list = json.array() } == '{"list":[]}')
end)

it("pretty text is indented by two spaces and means the same", function()
  local pretty = json.encode({ a = { 1, 2 } }, { pretty = true })
  assert(pretty == '{\n  "a": [\n    1,\n    2\n  ]\n}', pretty)
  assert(json.encode(json.decode(pretty)) == '{"a":[1,2]}')
  assert(json.encode({ 1 }, { pretty = false }) == "[1]")
end)

it("text becomes values", function()
  local value =
    json.decode(' { "n": 12, "f": 1.0, "s": "\\u00e9", "l": [1, null, []], "t": true } ')
  assert(value.n == 12 and math.type(value.n) == "integer")
  assert(value.f == 1.0 and math.type(value.f) == "float")
  assert(value.s == "\u{e9}" and value.t == true)
  assert(#value.l == 3 and value.l[2] == json.null)
  assert(json.decode("null") == json.null and json.decode('"x"') == "x")
end)

it("what was read is written again as it was", function()
  local text = '{"a":[],"b":{},"c":[[],{}],"d":null,"e":[null]}'
  assert(json.encode(json.decode(text)) == text, json.encode(json.decode(text)))
end)

it("arrays are told from objects", function()
  assert(json.is_array { 1 } and json.is_array(json.array()) and json.is_array(json.decode("[]")))
  -- Only the length is checked; encode finds errors inside.
  assert(json.is_array { 1, nil, 3 } and json.is_array { 1, a = 2 })
  assert(not pcall(json.encode, { 1, nil, 3 }) and not pcall(json.encode, { 1, a = 2 }))
  assert(
    not json.is_array {}
      and not json.is_array { a = 1 }
      and not json.is_array("x")
      and not json.is_array(nil)
  )
  local items = { "x" }
  assert(json.array(items) == items)
  assert(json.array(json.array(items)) == items)
end)

it("what JSON has not is refused by name", function()
  refuses("json.encode: JSON has no functions", json.encode, { f = print })
  refuses("json.encode: JSON has no NaN", json.encode, 0 / 0)
  refuses("json.encode: JSON has no NaN and no infinity", json.encode, { math.huge })
  refuses("UTF-8", json.encode, "\xff")
  refuses("array and a map", json.encode, { 1, a = 2 })
  refuses("array with holes", json.encode, { "a", nil, "c" })
  local loop = {}
  loop.self = loop
  refuses("table that holds itself", json.encode, loop)
  refuses("keys of type boolean", json.encode, { [true] = 1 })
end)

it("wrong arguments are refused", function()
  local err = refuses("no option", json.encode, {}, { prety = true })
  assert(err.hint == "did you mean 'pretty'?", err.hint)
  refuses("pretty must be true or false, got string", json.encode, {}, { pretty = "yes" })
  refuses("options must be a table", json.encode, {}, true)
  refuses("must be a string, got nil", json.decode, nil)
  refuses("must be a string, got table", json.decode, {})
  refuses("a table belongs here", json.array, "x")
  refuses("metatable", json.array, setmetatable({}, { __index = {} }))
end)

it("text that is not JSON says where", function()
  refuses("line 2 column 3", json.decode, "{\n  x: 1 }")
  refuses("EOF", json.decode, "[1,")
  refuses("EOF", json.decode, "")
  refuses("trailing characters", json.decode, "1 2")
  refuses("json.decode", json.decode, "NaN")
  refuses("recursion limit", json.decode, ("["):rep(100000))
end)

it("a page of a listing is an array", function()
  local page = iam.profiles.list { max_items = 2 }
  local rows = json.decode(json.encode(page))
  assert(#rows == 2 and rows[1].name == page[1].name and rows.marker == nil)
end)
