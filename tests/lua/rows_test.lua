-- Results of bulk work with holes, as rows.

local function tagged(names)
  return bulk.map(names, function(name)
    if name == "skipped" then
      return bulk.skip("skipped")
    end
    return { profile = name }
  end)
end

describe("results with holes", function()
  local names = { "skipped", "web-frontend", "skipped", "worker" }

  it("are rows of a report, all of them", function()
    local folder = temp_folder {}
    report((tagged(names)), { file = folder .. "/rows.csv" })
    expect(fs.read(folder .. "/rows.csv")):to_equal("profile\nweb-frontend\nworker\n")
    -- The second result of `bulk.map` is not taken for options.
    report(tagged(names))
  end)

  it("are rows of csv.encode", function()
    expect((csv.encode(tagged(names)))):to_equal("profile\nweb-frontend\nworker\n")
    expect((csv.encode((tagged {})))):to_equal("")
  end)

  it("are an array in JSON, with null in the holes", function()
    local text = json.encode(tagged(names))
    expect(text):to_equal('[null,{"profile":"web-frontend"},null,{"profile":"worker"}]')
    expect(json.encode((tagged {}))):to_equal("[]")
    expect(json.encode(table.pack(1, nil, 3))):to_equal("[1,null,3]")
    -- Not counted, or a record.
    local ok, err = pcall(json.encode, { 1, 2, [4] = 4 })
    expect(ok):to_equal(false)
    expect(err.message):to_contain("array")
    expect(json.encode { n = 3 }):to_equal('{"n":3}')
  end)

  it("may be none", function()
    local folder = temp_folder {}
    report((tagged {}), { file = folder .. "/rows.json" })
    expect((json.decode(fs.read(folder .. "/rows.json")))):to_equal {}
  end)
end)
